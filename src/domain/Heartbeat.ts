/**
 * What a heartbeat file's modification time means. The container can set it to anything, so only a change counts as progress,
 * and never later than the host saw it.
 */
import type { EpochMs } from "./Instant.ts"

/** `mtime`: the last one seen. `heartbeatAt`: the instant of the last progress that it stands for; null: none so far. */
export interface HeartbeatView {
  readonly mtime: EpochMs | null
  readonly heartbeatAt: EpochMs | null
}

/**
 * The view after one more look. A time in the future counts as `now`, the moment at which the host observed the change. An
 * unchanged time is no new progress, a file that vanished none either, and a time set back takes nothing away. When the host's
 * clock was set back, what was observed before counts as observed now.
 */
export const observeHeartbeat = (
  previous: HeartbeatView | null,
  mtime: EpochMs | null,
  now: EpochMs,
): HeartbeatView => {
  const { heartbeatAt, mtime: lastMtime } = previous ?? { heartbeatAt: null, mtime: null }
  const before = heartbeatAt === null ? null : Math.min(heartbeatAt, now)
  if (mtime === null || mtime === lastMtime) return { mtime: lastMtime, heartbeatAt: before }
  return { mtime, heartbeatAt: Math.max(before ?? 0, Math.min(mtime, now)) }
}
