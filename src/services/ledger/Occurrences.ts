/**
 * Occurrences of a series in the ledger: made in the series' own session or, isolated, in a fresh one, and cancelled when they run
 * for too long. What the end of one means to its series stands in `Finish.ts`.
 */
import { addressOf } from "../../domain/Address.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { MessageId, SessionId } from "../../domain/Ids.ts"
import { HELD_BACK, type Message, type Priority } from "../../domain/Message.ts"
import type { Series } from "../../domain/Series.ts"
import type { LedgerReader } from "../LedgerDriver.ts"
import { insertDraft, plainDraft, resolveSession } from "./Accept.ts"
import { runKey } from "./FindSeries.ts"
import { cancelOpen } from "./Finish.ts"
import { inSession, type SessionUnit } from "./SessionUnit.ts"

export interface NewOccurrence {
  readonly id: MessageId
  /** Null: a run beside the schedule. */
  readonly slot: EpochMs | null
  /** `schedule`, `run-now`, or a backfill's id. */
  readonly origin: string
  readonly dueAt: EpochMs | "held-back"
  readonly priority: Priority
}

export const insertOccurrence = (unit: SessionUnit, series: Series, wanted: NewOccurrence): Message => {
  const { now } = unit.context
  const dueAt = wanted.dueAt === "held-back" ? HELD_BACK : wanted.dueAt
  const draft = plainDraft({
    id: wanted.id,
    kind: "task",
    content: JSON.stringify({
      prompt: series.prompt,
      script: series.script,
      taskId: series.taskId ?? series.id,
      slot: wanted.slot,
    }),
    dueAt,
    priority: wanted.priority,
    expiresAt: series.ttlMs === null ? null : Math.max(wanted.slot ?? now, now) + series.ttlMs,
    ...addressOf(series),
    seriesId: series.id,
    slot: wanted.slot,
    slotOrigin: wanted.origin,
  })
  if (series.policy.context === "group") return insertDraft(unit, draft)
  const home = unit.session()
  const fresh = isolatedSession(unit, series, wanted.id)
  const inserted =
    fresh === undefined
      ? undefined
      : inSession(unit, fresh, (other) =>
          insertDraft(other, { ...draft, ...addressOf(draft.channelType === null ? home : draft) }),
        )
  return inserted ?? insertDraft(unit, draft)
}

/** A session of its own, which answers where the task belongs. */
const isolatedSession = (unit: SessionUnit, series: Series, occurrence: MessageId): SessionId | undefined => {
  const home = unit.session()
  const id = SessionId.make(`${home.id.slice(0, 40)}-i${unit.nextSeq()}`)
  const made = resolveSession(
    unit.tx,
    {
      id,
      groupId: series.groupId,
      key: runKey(occurrence),
      origin: "task",
      address: addressOf(home),
      expiresAt: null,
    },
    unit.context,
  )
  return made._tag === "Success" ? made.success.id : undefined
}

/** An occurrence that is under work, of a series that limits how long. */
interface TimedRun {
  readonly message: Message
  readonly ranMs: number
  readonly limitMs: number
}

/** `ageOrigin`: no age starts before it; 0 unless the clock jumped. */
export const timedRuns = (
  reader: LedgerReader,
  sessionId: SessionId,
  now: EpochMs,
  ageOrigin: EpochMs,
): ReadonlyArray<TimedRun> =>
  reader.openAttempts(sessionId).flatMap((attempt) => {
    const message = reader.message(attempt.messageId)
    if (message === undefined || message.seriesId === null) return []
    const limitMs = reader.series(message.seriesId)?.policy.startToCloseMs ?? null
    if (limitMs === null) return []
    const claimedAt = message.claimedAt ?? attempt.claimedAt
    // A claim in the future was made before the clock was set back: it is as old as that.
    const setBackAt = ageOrigin === 0 ? now : ageOrigin
    return [{ message, limitMs, ranMs: now - (claimedAt > now ? setBackAt : Math.max(claimedAt, ageOrigin)) }]
  })

/** Cancels what a live container has worked on for longer than its series allows. Returns how many. */
export const cancelOverdue = (unit: SessionUnit, ageOrigin: EpochMs, at: EpochMs): number => {
  const runs = timedRuns(unit.tx, unit.session().id, at, ageOrigin)
  const overdue = runs.filter(({ limitMs, ranMs }) => ranMs > limitMs)
  for (const { limitMs, message, ranMs } of overdue) {
    cancelOpen(unit, message, `it ran for ${ranMs} ms; its task allows ${limitMs} ms (startToCloseMs)`)
  }
  return overdue.length
}
