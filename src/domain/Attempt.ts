/** An attempt: one claim of one message by one incarnation. At most one is open per message; it ends with one outcome. */
import { Schema } from "effect"
import { IncarnationNumber, MessageId, SessionId } from "./Ids.ts"
import { EpochMs } from "./Instant.ts"

/**
 * `completed`, `skipped` and `failed` are the container's own words. `crashed`: it died with the claim open. `stuck`: the host
 * killed it for silence. `host-stopped`: the host stopped it for a reason of its own. `released`: the container gave it back. `late`: the message was terminal already.
 */
export const AttemptOutcome = Schema.Literals([
  "completed",
  "skipped",
  "failed",
  "crashed",
  "stuck",
  "host-stopped",
  "released",
  "late",
])
export type AttemptOutcome = typeof AttemptOutcome.Type

export const Attempt = Schema.Struct({
  messageId: MessageId,
  /** 1, 2, 3… per message. */
  number: Schema.Int,
  sessionId: SessionId,
  incarnation: IncarnationNumber,
  claimedAt: EpochMs,
  endedAt: Schema.NullOr(EpochMs),
  outcome: Schema.NullOr(AttemptOutcome),
  /** Whether it spent a try; null while open. */
  costsTry: Schema.NullOr(Schema.Boolean),
  error: Schema.NullOr(Schema.String),
})
export type Attempt = typeof Attempt.Type
