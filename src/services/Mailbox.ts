/**
 * The exchange pair: how a session and its container talk. The host writes inbound.db and only reads outbound.db, which is
 * hostile from the moment a container has seen it. Each incarnation has a fresh pair, fenced by path.
 */
import { Context, type Effect, Schema } from "effect"
import type { Address } from "../domain/Address.ts"
import type { Destination } from "../domain/Group.ts"
import type { GroupId, IncarnationNumber, OutboundId, SessionId } from "../domain/Ids.ts"
import type { EpochMs } from "../domain/Instant.ts"
import type { Message } from "../domain/Message.ts"

/** Names one pair. */
export interface Pair {
  readonly groupId: GroupId
  readonly sessionId: SessionId
  readonly incarnation: IncarnationNumber
}

/** Host paths of one pair's directories. */
export interface PairPaths {
  readonly inDir: string
  readonly outDir: string
}

/** A row of `messages_out` that a new pair is born with: they keep edit-by-seq and the seq floor, and are never ingested again. */
export interface CarriedRow extends Address {
  readonly id: OutboundId
  readonly seq: number
  readonly inReplyTo: string | null
  readonly timestampMs: EpochMs
  readonly kind: string
  readonly content: string
}

/** What a new pair is born with. */
export interface Carryover {
  readonly sessionState: ReadonlyArray<{ readonly key: string; readonly value: string }>
  readonly outbound: ReadonlyArray<CarriedRow>
  readonly createdAt: EpochMs
}

/** One row of `messages_in` as the container shall see it. `status` is `pending` for everything that it may still do. */
export interface ProjectedMessage {
  readonly message: Message
  readonly status: "pending" | "completed" | "failed"
}

/**
 * When a container may take the row; null: at once. A row that is due by the host's clock gets no time, because a container whose clock
 * lags would wait for it.
 */
export const processAfterOf = ({ dueAt }: Message, now: EpochMs): EpochMs | null =>
  dueAt <= now ? null : dueAt

/** A preview of a series, for listing only: its `process_after` is RFC 9557 text that no runner takes for due. */
export interface ProjectedSeries extends Address {
  readonly id: string
  readonly seq: number
  readonly status: "pending" | "paused"
  readonly nextSlotText: string
  readonly recurrence: string | null
  readonly content: string
}

/** What the host says of an outbound row: at once that it was accepted or refused, and later what became of it. */
export interface ProjectedDelivery {
  readonly outboundId: OutboundId
  readonly status: "accepted" | "delivered" | "failed"
  /** Why it failed, or what was done. */
  readonly detail: string | null
  readonly platformMessageId: string | null
  readonly at: EpochMs
}

/** The changes that bring a file of revision `from` to `revision`; applied in one transaction, repeatable. */
export interface Projection {
  readonly revision: number
  readonly messages: ReadonlyArray<ProjectedMessage>
  readonly delivered: ReadonlyArray<ProjectedDelivery>
  /** Whole lists, replaced; null leaves what is there. */
  readonly series: ReadonlyArray<ProjectedSeries> | null
  readonly destinations: ReadonlyArray<Destination> | null
  readonly routing: Address | null
}

/** A row of `processing_ack`, decoded and bounded. */
export interface AckRow {
  readonly messageId: string
  readonly status: "processing" | "completed" | "failed"
  /** Null: unparsable. `precision` says whether the text was cut to the second. */
  readonly changedAt: EpochMs | null
  readonly precision: "ms" | "s"
  /** The `tries` of the row as the container claimed it; null from runners that do not write it. */
  readonly tries: number | null
  /** `skipped` when its pre-task script said no. */
  readonly outcome: string | null
  readonly detail: {
    readonly retryable: boolean
    readonly error: string | null
    readonly result: string | null
    /**
     * Present when one turn answered several messages: the one that the turn's rows name as `in_reply_to`. All acks of the turn name it,
     * so an answer belongs to each message whose ack does.
     */
    readonly turn?: string
  }
}

/** A row of `messages_out`, decoded and bounded. */
export interface OutboundRow extends Address {
  readonly id: OutboundId
  readonly seq: number | null
  readonly inReplyTo: string | null
  readonly timestamp: EpochMs | null
  readonly deliverAfter: EpochMs | null
  readonly recurrence: string | null
  readonly kind: string
  /** JSON text, checked to parse. */
  readonly content: string
  /** Why it can't be done as it asks: `deliverAfter` is no time. Such a row is refused, and its agent told. */
  readonly unreadable?: string
}

export interface ToolInFlight {
  readonly tool: string
  readonly declaredTimeoutMs: number | null
  readonly startedAt: EpochMs | null
}

/** One bounded snapshot of what the container wrote. */
export interface Reading {
  readonly acks: ReadonlyArray<AckRow>
  /** Rows whose id is not in `seen`, by seq. */
  readonly outbound: ReadonlyArray<OutboundRow>
  readonly tool: ToolInFlight | null
  readonly sessionState: ReadonlyArray<{ readonly key: string; readonly value: string }>
  /** Rows that could not be accepted, with the reason: reported once, never lost silently. */
  readonly rejected: ReadonlyArray<{ readonly table: string; readonly id: string; readonly reason: string }>
  /** The file was cut at a limit: there is more than a container may write in one life. */
  readonly outgrown: boolean
  /**
   * The newest instant that the container wrote by its own clock: of its acks and of its tool state. Outbound rows don't count: those that
   * the host carried over from an earlier life are dated by the host. When it has grown since the last reading, its distance to the host's
   * clock is the offset between the two clocks, too large by at most the time since the last look. Null: it wrote none. It is not bounded: a
   * hostile container can write anything.
   */
  readonly newestAt: EpochMs | null
}

/** What is ingested where nothing could be read. */
export const emptyReading: Reading = {
  acks: [],
  outbound: [],
  tool: null,
  sessionState: [],
  rejected: [],
  outgrown: false,
  newestAt: null,
}

/** What two lstat calls tell. Equal stamps mean that nothing was written since. */
export interface Glance {
  readonly _tag: "Glance"
  readonly stamp: string
  /**
   * The heartbeat file's modification time as it stands there. It is an instant of the container's clock, not of the host's: our
   * runner sets it from its own clock, and a hostile container can set it to anything.
   */
  readonly heartbeatMtime: EpochMs | null
}

/** Could not be read just now; a later try may work. Nothing is known about what is in it. */
export class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", {
  message: Schema.String,
  /** The reading continues in the background, and a later call gets its result. Nothing has failed so far. */
  underWay: Schema.optionalKey(Schema.Literal(true)),
}) {}

/** Will not be read, because it is not what the host made. */
export class Quarantined extends Schema.TaggedError<Quarantined>()("Quarantined", {
  reason: Schema.String,
}) {}

/** Why a glance failed. */
export type GlanceProblem = Unreadable | Quarantined

export interface ReadOptions {
  /** Ids of outbound rows that are known already. */
  readonly seen: ReadonlySet<string>
  /** `live`: the container may be writing. `final`: the runtime confirmed its death, so a hot journal is rolled back on a copy. */
  readonly mode: "live" | "final"
}

/** The host's own side failed: the pair could not be made or written. */
export class MailboxError extends Schema.TaggedError<MailboxError>()("MailboxError", {
  message: Schema.String,
}) {}

/** Somebody holds a lock on inbound.db, and nothing was written. */
export class ProjectionBlocked extends Schema.TaggedError<ProjectionBlocked>()("ProjectionBlocked", {
  message: Schema.String,
  /** The lock is recent: try again at the next look. Absent: it was not released in time. */
  underWay: Schema.optionalKey(Schema.Literal(true)),
}) {}

export class Mailbox extends Context.Service<
  Mailbox,
  {
    readonly paths: (pair: Pair) => PairPaths
    /** Makes both files with their schema and what is carried over. An existing pair of that name is an error. */
    readonly create: (pair: Pair, carry: Carryover) => Effect.Effect<void, MailboxError>
    /** The revision that inbound.db stands at. */
    readonly revision: (pair: Pair) => Effect.Effect<number, MailboxError>
    /** Applies the changes in one transaction, the revision with them. A file already at or past it is left alone. */
    readonly project: (
      pair: Pair,
      projection: Projection,
    ) => Effect.Effect<void, MailboxError | ProjectionBlocked>
    /** Cheap and synchronous: a pass calls it in a loop for every running session. Throws only defects. */
    readonly glance: (pair: Pair) => Glance | GlanceProblem
    /** One bounded snapshot. */
    readonly read: (pair: Pair, options: ReadOptions) => Effect.Effect<Reading, Unreadable | Quarantined>
    /** Removes every pair of the session with a number below `below`, never following a link. */
    readonly removeBelow: (
      session: { readonly groupId: GroupId; readonly sessionId: SessionId },
      below: IncarnationNumber,
    ) => Effect.Effect<void, MailboxError>
  }
>()("lamplighter/services/Mailbox") {}
