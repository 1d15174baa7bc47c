/**
 * What the daemon remembers of a live container between two looks. Nothing here is truth: it is rebuilt from the ledger and the
 * exchange pair when the daemon starts again, and it only saves work or dates what was first seen.
 */
import type { SessionId } from "../domain/Ids.ts"
import type { EpochMs } from "../domain/Instant.ts"
import type { HeartbeatView } from "../domain/Heartbeat.ts"
import type { ObservedExit } from "../domain/Incarnation.ts"
import type { AckRow, ToolInFlight } from "./Mailbox.ts"
import type { ContainerRef } from "./ContainerRuntime.ts"

export interface Watch {
  readonly sessionId: SessionId
  readonly incarnation: number
  /** Absent until the runtime confirmed the start. */
  ref: ContainerRef | null
  /** The stamp of outbound.db at the last reading; null: never read. */
  stamp: string | null
  heartbeat: HeartbeatView | null
  /** Outbound ids that the ledger has. */
  readonly seen: Set<string>
  readonly reported: Set<string>
  /** Open claims as the last reading showed them, with the instant at which the host first saw each. */
  claims: ReadonlyArray<AckRow>
  readonly firstSeen: Map<string, EpochMs>
  anyAck: boolean
  tool: ToolInFlight | null
  /** The revision that inbound.db stands at; null: unknown. */
  projected: number | null
  /** Ages do not start before this: moved to now when the clock jumped. */
  ageOrigin: EpochMs
  workDueSince: EpochMs | null
  /** Since when its files can't be read; null: they can. */
  blindSince: EpochMs | null
  /** The last activity that the ledger recorded, and when that was by a clock that may have been set back since. */
  active: { readonly recorded: EpochMs; readonly at: EpochMs } | null
  needsFresh: boolean
  /** Claims that a heartbeat was seen to come after. */
  readonly answered: Set<string>
  /** When it was spawned: never later than now. */
  spawnedAt: EpochMs | null
  /** When this daemon sent SIGTERM, never later than now: its grace counts from there, whoever recorded the stop, and whenever. */
  signalledAt: EpochMs | null
  killed: boolean
  /** The death, once confirmed. */
  exit: ObservedExit | null
  finalReading: "owed" | "given-up"
  /** When the final reading failed for the first time. */
  finalFailedSince: EpochMs | null
  /** True while a start is under way in this process: nothing looks at it before. */
  starting: boolean
}

export const newWatch = (sessionId: SessionId, incarnation: number): Watch => ({
  sessionId,
  incarnation,
  ref: null,
  stamp: null,
  heartbeat: null,
  seen: new Set(),
  reported: new Set(),
  claims: [],
  firstSeen: new Map(),
  anyAck: false,
  tool: null,
  projected: null,
  ageOrigin: 0,
  workDueSince: null,
  blindSince: null,
  active: null,
  needsFresh: false,
  answered: new Set(),
  spawnedAt: null,
  signalledAt: null,
  killed: false,
  exit: null,
  finalReading: "owed",
  finalFailedSince: null,
  starting: false,
})
