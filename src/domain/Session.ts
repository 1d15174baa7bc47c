/** A session: one conversation, that is a queue of messages and at most one live container. */
import { Schema } from "effect"
import { Address } from "./Address.ts"
import { GroupId, IncarnationNumber, SessionId } from "./Ids.ts"
import { EpochMs } from "./Instant.ts"

/** How an incoming message finds its session: one per chat, one per thread of a chat, one per group, or named by its id. */
export const SessionMode = Schema.Literals(["shared", "per-thread", "agent-shared"])
export type SessionMode = typeof SessionMode.Type

export const SessionOrigin = Schema.Literals(["chat", "task", "agent"])
export type SessionOrigin = typeof SessionOrigin.Type

/**
 * `active` wakes when something is due. `held`: an operator stopped it and has not released it. `quarantined`: its files or
 * rows can't be trusted or read; nothing wakes until an operator releases it, and no try is spent meanwhile.
 */
export const SessionStatus = Schema.Literals(["active", "held", "quarantined"])
export type SessionStatus = typeof SessionStatus.Type

export const Session = Schema.Struct({
  id: SessionId,
  groupId: GroupId,
  /** Unique in the group: what the mode resolves to, e.g. `shared:webhook:alice`. */
  key: Schema.String,
  origin: SessionOrigin,
  /** Where answers go when the agent names no destination. */
  ...Address.fields,
  status: SessionStatus,
  statusReason: Schema.NullOr(Schema.String),
  /** The last incarnation that was recorded; 0 before the first. */
  incarnation: IncarnationNumber,
  /** True from the record of an incarnation until its end is committed. */
  live: Schema.Boolean,
  /** The last (even) sequence number that the host gave; the container's are odd. */
  hostSeq: Schema.Int,
  /** Grows with each change that inbound.db must show. */
  revision: Schema.Int,
  /** Non-terminal messages, context rows included. */
  queued: Schema.Int,
  /**
   * When this session next needs the planner without any event: the earliest due instant of a pending, waking message that
   * the live container (if any) has not been shown. Null: nothing to wake for. Indexed, so that idle sessions cost nothing.
   */
  wakeAt: Schema.NullOr(EpochMs),
  wakePriority: Schema.Int,
  /** Failed starts in a row, and the instant before which no other is tried. */
  wakeFailures: Schema.Int,
  wakeNotBefore: EpochMs,
  wakeError: Schema.NullOr(Schema.String),
  expiresAt: Schema.NullOr(EpochMs),
  createdAt: EpochMs,
})
export type Session = typeof Session.Type
