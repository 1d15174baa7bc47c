/** The ledger's event log: what happened, in order, for operators, timelines and tests. Bounded; never read by a decision. */
import { Schema } from "effect"
import { EpochMs } from "./Instant.ts"

export const LedgerEventType = Schema.Literals([
  "accepted",
  "woken",
  "wake-failed",
  "started",
  "claimed",
  "late",
  "retry",
  "ended",
  "stop",
  "exit",
  "delivered",
  "delivery-retry",
  "delivery-dead",
  "delivery-refused",
  "action",
  "quarantined",
  "released",
  "slot",
  "clock",
  "anomaly",
])
export type LedgerEventType = typeof LedgerEventType.Type

export const LedgerEvent = Schema.Struct({
  position: Schema.Int,
  at: EpochMs,
  type: LedgerEventType,
  sessionId: Schema.NullOr(Schema.String),
  messageId: Schema.NullOr(Schema.String),
  /** One line for people. */
  text: Schema.String,
})
export type LedgerEvent = typeof LedgerEvent.Type
