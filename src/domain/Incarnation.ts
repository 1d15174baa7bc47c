/** An incarnation: one life of a session's container, from the moment the ledger records the intent to start it. */
import { Schema } from "effect"
import { GroupId, IncarnationNumber, InstallId, SessionId } from "./Ids.ts"
import { EpochMs, Millis } from "./Instant.ts"

/** The container was hung, so that its open claims spend a try. */
const StuckReason = Schema.Literals(["ceiling", "claim", "startup"])
export type StuckReason = typeof StuckReason.Type
export const isStuck: (reason: EndReason | null) => reason is StuckReason = Schema.is(StuckReason)

/** Why the host stops a container. The stuck ones (`isStuck`) cost a try; the others never do. */
export const StopReason = Schema.Literals([
  "idle",
  ...StuckReason.literals,
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

/** Whether the end needs no explanation. Every other end keeps a log, whatever its exit code. */
export const isWanted = (reason: EndReason | null): boolean => WANTED.includes(reason)

const WANTED: ReadonlyArray<EndReason | null> = ["own-exit", "idle", "operator", "shutdown", "cancelled"]

/** How the runtime saw a container end. `exitCode` and `signal` are both null when nobody could see it. */
export interface ObservedExit {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly oomKilled: boolean
  /** The limit that it passed, where it was killed for want of memory and the runtime knows. */
  readonly memoryLimitBytes?: number
  /**
   * `gone`: the host rebooted, so nobody could have ended it on purpose. `elsewhere`: it lived on another host, whose files are not
   * here (`livedElsewhere`): nothing is read for the last time, no try is spent, and the session goes on.
   */
  readonly manner: "exited" | "gone" | "elsewhere"
  /** The engine ended it on its own account or somebody else's: no try is spent. */
  readonly stoppedBy?: "engine"
  /** The last line of a runner that ended because it can't work. */
  readonly lastWords?: string
}

/** `starting`: recorded, its start not confirmed (may or may not exist). `ended`: death confirmed, last read done. */
const IncarnationPhase = Schema.Literals(["starting", "running", "stopping", "ended"])

export const Incarnation = Schema.Struct({
  sessionId: SessionId,
  number: IncarnationNumber,
  groupId: GroupId,
  phase: IncarnationPhase,
  /** What the runtime needs to find it again (opaque JSON text). */
  handle: Schema.NullOr(Schema.String),
  /** The data directory of the host that started it; null: from before this was kept. */
  hostId: Schema.NullOr(InstallId),
  /** The host's boot at which it was started: after another boot its exchange pair is not trusted. */
  bootId: Schema.String,
  /** The fence: nothing from before this instant counts. */
  spawnedAt: EpochMs,
  startedAt: Schema.NullOr(EpochMs),
  /** Whether it ever claimed anything. */
  claimed: Schema.Boolean,
  /** The last claim, ack, heartbeat, outbound row or delivery. */
  activeAt: EpochMs,
  /** The container's clock minus the host's, as last measured by the rows that it writes; null: not known to differ. */
  rowSkewMs: Schema.NullOr(Schema.Int),
  /** The same for the modification times of its files, which another kernel may stamp. */
  fileSkewMs: Schema.NullOr(Schema.Int),
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

/** Whether it ran on another host than `hostId`: the ledger came here in a backup, without that host's files. */
export const livedElsewhere = (row: Pick<Incarnation, "hostId">, hostId: InstallId): boolean =>
  row.hostId !== null && row.hostId !== hostId
