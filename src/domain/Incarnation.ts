/** An incarnation: one life of a session's container, from the moment the ledger records the intent to start it. */
import { Schema } from "effect"
import { GroupId, IncarnationNumber, SessionId } from "./Ids.ts"
import { EpochMs, Millis } from "./Instant.ts"

/** Why the host stops a container. The stuck ones (`ceiling`, `claim`, `startup`) cost a try; the others never do. */
export const StopReason = Schema.Literals([
  "idle",
  "ceiling",
  "claim",
  "startup",
  "operator",
  "shutdown",
  "projection-blocked",
  "quarantine",
  "outgrown",
  "stranger",
  "cancelled",
])
export type StopReason = typeof StopReason.Type

/** How a life ended: a stop reason, or by itself. `start-failed`: it never ran. `lost`: it vanished while nobody watched. */
export const EndReason = Schema.Literals([
  ...StopReason.literals,
  "own-exit",
  "crash",
  "start-failed",
  "lost",
])
export type EndReason = typeof EndReason.Type

/** `starting`: recorded, its start not confirmed (may or may not exist). `ended`: death confirmed, last read done. */
export const IncarnationPhase = Schema.Literals(["starting", "running", "stopping", "ended"])
export type IncarnationPhase = typeof IncarnationPhase.Type

export const Incarnation = Schema.Struct({
  sessionId: SessionId,
  number: IncarnationNumber,
  groupId: GroupId,
  phase: IncarnationPhase,
  /** What the runtime needs to find it again (opaque JSON text). */
  handle: Schema.NullOr(Schema.String),
  /** The host's boot at which it was started: after another boot its exchange pair is not trusted. */
  bootId: Schema.String,
  /** The fence: nothing from before this instant counts. */
  spawnedAt: EpochMs,
  startedAt: Schema.NullOr(EpochMs),
  /** Whether it ever claimed anything. */
  claimed: Schema.Boolean,
  /** The last claim, ack, heartbeat, outbound row or delivery. */
  activeAt: EpochMs,
  stopReason: Schema.NullOr(StopReason),
  stopRequestedAt: Schema.NullOr(EpochMs),
  endedAt: Schema.NullOr(EpochMs),
  reason: Schema.NullOr(EndReason),
  /** Null: unknown (an adopted child, an engine that forgot). */
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  oomKilled: Schema.Boolean,
  durationMs: Schema.NullOr(Millis),
  logFile: Schema.NullOr(Schema.String),
  error: Schema.NullOr(Schema.String),
})
export type Incarnation = typeof Incarnation.Type
