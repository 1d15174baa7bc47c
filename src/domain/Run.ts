/** A run: the append-only audit record of an occurrence or message that ended, or of a slot that did not run, with the reason. */
import { Schema } from "effect"
import { GroupId, IncarnationNumber, MessageId, SeriesId, SessionId } from "./Ids.ts"
import { EpochMs, Millis } from "./Instant.ts"

/** The first five are a message's terminal states; the rest are slots that became no occurrence. */
export const RunOutcome = Schema.Literals([
  "completed",
  "skipped",
  "failed",
  "cancelled",
  "expired",
  "overlap",
  "missed",
  "paused",
])
export type RunOutcome = typeof RunOutcome.Type

export const Run = Schema.Struct({
  /** Order of appending. */
  position: Schema.Int,
  sessionId: SessionId,
  groupId: GroupId,
  seriesId: Schema.NullOr(SeriesId),
  messageId: Schema.NullOr(MessageId),
  slot: Schema.NullOr(EpochMs),
  dueAt: EpochMs,
  wokenAt: Schema.NullOr(EpochMs),
  claimedAt: Schema.NullOr(EpochMs),
  endedAt: EpochMs,
  /** From the first claim to the end. */
  durationMs: Schema.NullOr(Millis),
  attempts: Schema.Int,
  outcome: RunOutcome,
  error: Schema.NullOr(Schema.String),
  result: Schema.NullOr(Schema.String),
  incarnation: IncarnationNumber,
  logFile: Schema.NullOr(Schema.String),
  /**
   * Equal ones in a row that did not run (gated, expired, overlap, missed, paused) are one row with a count: `dueAt` is the first
   * one's, all else the last one's.
   */
  count: Schema.Int,
})
export type Run = typeof Run.Type
