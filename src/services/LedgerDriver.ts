/**
 * The ledger's storage contract: typed rows, the indexed questions that the services ask, and one atomic transaction. It holds
 * no rule of its own; the rules are the transitions in `ledger/`, which run on any driver. `layers/sqlite` and
 * `layers/memory` implement it and pass one conformance suite.
 */
import { Context, type Effect, type Result, Schema } from "effect"
import type { Attempt } from "../domain/Attempt.ts"
import type { Delivery, DeliveryStatus } from "../domain/Delivery.ts"
import type { Group } from "../domain/Group.ts"
import type { DeliveryId, GroupId, IncarnationNumber, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import type { EpochMs } from "../domain/Instant.ts"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import type { Message, MessageRow, MessageState, Priority } from "../domain/Message.ts"
import type { Run, RunOutcome } from "../domain/Run.ts"
import type { Series, SeriesRow, SeriesStatus } from "../domain/Series.ts"
import type { Session, SessionStatus } from "../domain/Session.ts"

/**
 * Storage failed. Nothing of the transaction happened, unless the reason is `Uncertain` (the commit itself failed: never
 * assume either way; the driver refuses further writes until it is opened again).
 */
export class LedgerError extends Schema.TaggedError<LedgerError>()("LedgerError", {
  reason: Schema.Literals(["Full", "ReadOnly", "Busy", "Corrupt", "Io", "Uncertain", "Closed"]),
  message: Schema.String,
}) {}

/** One page of a listing: rows after `after` in the listing's order, at most `limit`. */
export interface Page {
  readonly limit: number
  /** The position or id of the last row of the page before; absent for the first. */
  readonly after?: string | number | undefined
}

export interface MessageFilter {
  readonly sessionId?: SessionId | undefined
  readonly seriesId?: SeriesId | undefined
  readonly states?: ReadonlyArray<MessageState> | undefined
}

export interface DeliveryFilter {
  readonly sessionId?: SessionId | undefined
  readonly statuses?: ReadonlyArray<DeliveryStatus> | undefined
}

export interface RunFilter {
  readonly sessionId?: SessionId | undefined
  readonly seriesId?: SeriesId | undefined
  readonly outcomes?: ReadonlyArray<RunOutcome> | undefined
}

/** Questions. Every one is answered from an index and bounded by a limit; absent rows are `undefined`. */
export interface LedgerReader {
  readonly meta: (key: string) => string | undefined

  readonly group: (id: GroupId) => Group | undefined
  readonly groups: () => ReadonlyArray<Group>

  readonly session: (id: SessionId) => Session | undefined
  readonly sessionByKey: (groupId: GroupId, key: string) => Session | undefined
  /** By id, ascending; `after` is a session id. */
  readonly sessions: (
    filter: { readonly groupId?: GroupId | undefined; readonly status?: SessionStatus | undefined },
    page: Page,
  ) => ReadonlyArray<Session>
  /** Sessions of a group that have messages queued, by id. */
  readonly sessionsWithWork: (groupId: GroupId, limit: number) => ReadonlyArray<Session>
  /** Sessions of one priority with `live` as given and `wakeAt <= now`, earliest `wakeAt` first. */
  readonly sessionsToWake: (
    live: "live" | "idle",
    priority: Priority,
    now: EpochMs,
    limit: number,
  ) => ReadonlyArray<Session>
  /** The earliest `wakeAt` after `now`, over all sessions. */
  readonly nextWakeAfter: (now: EpochMs) => EpochMs | null
  /** Bounded JSON-able key/value rows that a container keeps for its next incarnation. */
  readonly sessionState: (id: SessionId) => ReadonlyArray<{ readonly key: string; readonly value: string }>

  readonly message: (id: MessageId) => Message | undefined
  /** By acceptance (rowid), newest first; `after` is a message id. */
  readonly messages: (filter: MessageFilter, page: Page) => ReadonlyArray<Message>
  /** Pending rows that can wake (trigger, not system), by priority descending, then dueAt, then seq; `dueAt <= now`. */
  readonly duePending: (sessionId: SessionId, now: EpochMs, limit: number) => ReadonlyArray<Message>
  /** The earliest `dueAt` of pending waking rows with `admittedIn <> shownTo`; `onWake` rows count only if `withOnWake`. */
  readonly earliestDue: (
    sessionId: SessionId,
    options: { readonly shownTo: IncarnationNumber; readonly onWake: "count" | "ignore" },
  ) => { readonly dueAt: EpochMs; readonly priority: Priority } | undefined
  /** Pending rows that never wake (context and system), oldest first. */
  readonly contextPending: (sessionId: SessionId, limit: number) => ReadonlyArray<Message>
  /** Open (pending or claimed) rows shown to this incarnation, by seq. */
  readonly admittedOpen: (
    sessionId: SessionId,
    incarnation: IncarnationNumber,
    limit: number,
  ) => ReadonlyArray<Message>
  /** Rows shown to this incarnation whose revision is above `revision`, by revision then seq. */
  readonly messagesChangedSince: (
    sessionId: SessionId,
    incarnation: IncarnationNumber,
    revision: number,
    limit: number,
  ) => ReadonlyArray<Message>
  /** Pending rows with `expiresAt < now`, earliest first. */
  readonly expired: (now: EpochMs, limit: number) => ReadonlyArray<Message>
  /** The earliest `expiresAt` of a pending row. */
  readonly nextExpiry: () => EpochMs | null
  readonly occurrence: (seriesId: SeriesId, slot: EpochMs, origin: string) => Message | undefined
  /** Open occurrences of a series, by slot. */
  readonly openOccurrences: (seriesId: SeriesId, limit: number) => ReadonlyArray<Message>

  readonly openAttempt: (messageId: MessageId) => Attempt | undefined
  readonly openAttempts: (sessionId: SessionId) => ReadonlyArray<Attempt>
  readonly attempts: (messageId: MessageId, limit: number) => ReadonlyArray<Attempt>

  readonly incarnation: (sessionId: SessionId, number: IncarnationNumber) => Incarnation | undefined
  /** Every incarnation whose phase is not `ended`. */
  readonly liveIncarnations: () => ReadonlyArray<Incarnation>
  /** Newest first; `after` is an incarnation number. */
  readonly incarnations: (sessionId: SessionId, page: Page) => ReadonlyArray<Incarnation>

  readonly delivery: (id: DeliveryId) => Delivery | undefined
  /** By position, newest first; `after` is a position. */
  readonly deliveries: (filter: DeliveryFilter, page: Page) => ReadonlyArray<Delivery>
  /** Pending with `nextAttemptAt <= now`, earliest first, but for what is passed over. */
  readonly dueDeliveries: (
    now: EpochMs,
    limit: number,
    passedOver?: DeliveriesPassedOver,
  ) => ReadonlyArray<Delivery>
  readonly nextDeliveryAfter: (now: EpochMs) => EpochMs | null
  /** Pending of one lane, by position. */
  readonly laneOf: (lane: string, limit: number) => ReadonlyArray<Delivery>
  /** Pending deliveries of a channel, counted up to `limit`. */
  readonly countPendingDeliveries: (channelType: string, limit: number) => number
  /** Of the container's own rows those whose revision is above `revision`, by revision then position. */
  readonly deliveriesChangedSince: (
    sessionId: SessionId,
    revision: number,
    limit: number,
  ) => ReadonlyArray<Delivery>
  /** The container's last outbound rows, by seq ascending. */
  readonly lastOutbound: (sessionId: SessionId, limit: number) => ReadonlyArray<Delivery>

  readonly series: (id: SeriesId) => Series | undefined
  /** Those that agents call so, of one session or of any; at most `limit`. */
  readonly seriesByTask: (taskId: string, sessionId: SessionId | null, limit: number) => ReadonlyArray<Series>
  /** By id, ascending; `after` is a series id. */
  readonly seriesList: (
    filter: {
      readonly groupId?: GroupId | undefined
      readonly sessionId?: SessionId | undefined
      readonly status?: SeriesStatus | undefined
    },
    page: Page,
  ) => ReadonlyArray<Series>
  /** Active series with `nextSlot <= now`, earliest first. */
  readonly dueSeries: (now: EpochMs, limit: number) => ReadonlyArray<Series>
  /** The earliest `nextSlot` of an active series. */
  readonly nextSlot: () => EpochMs | null

  /** By position, newest first; `after` is a position. */
  readonly runs: (filter: RunFilter, page: Page) => ReadonlyArray<Run>
  readonly lastRun: (seriesId: SeriesId) => Run | undefined

  /** By position, ascending, above `after`. */
  readonly events: (
    filter: { readonly sessionId?: SessionId | undefined },
    page: Page,
  ) => ReadonlyArray<LedgerEvent>
  /** By position, newest first; `after` is a position, and the page holds older ones. */
  readonly lastEvents: (
    filter: { readonly sessionId?: SessionId | undefined },
    page: Page,
  ) => ReadonlyArray<LedgerEvent>
}

/** Whose deliveries a reader does not ask for just now. */
export interface DeliveriesPassedOver {
  readonly sessions: ReadonlyArray<SessionId>
  readonly channels: ReadonlyArray<string>
}

/** Writes: each `put` inserts the row or replaces the one with its key. Order and atomicity come from the transaction. */
export interface LedgerTx extends LedgerReader {
  readonly putMeta: (key: string, value: string) => void
  readonly putGroup: (row: Group) => void
  /** The group's row alone: what belongs to the group stays. */
  readonly deleteGroup: (id: GroupId) => void
  /** `before`: the row as it stands, for one who has just read it; then only what differs has to be written. */
  readonly putSession: (row: Session, before?: Session) => void
  readonly putSessionState: (
    id: SessionId,
    rows: ReadonlyArray<{ readonly key: string; readonly value: string }>,
  ) => void
  readonly putMessage: (row: MessageRow) => void
  readonly putAttempt: (row: Attempt) => void
  readonly putIncarnation: (row: Incarnation) => void
  /** `position` is given by the driver when the row is new (pass 0). Returns it. */
  readonly putDelivery: (row: Delivery) => number
  readonly putSeries: (row: SeriesRow) => void
  /** `position` 0: append, returns the position given; otherwise replaces that row. */
  readonly putRun: (row: Run) => number
  /** Appends; `position` is given by the driver. */
  readonly appendEvent: (row: Omit<LedgerEvent, "position">) => void

  /**
   * Deletes terminal messages (with their attempts) and ended deliveries that ended before `before`, ended incarnations too,
   * and runs that ended before it; at most `limit` rows of each. Returns how many went.
   */
  readonly deleteHistory: (before: EpochMs, limit: number) => number
  /**
   * Deletes sessions whose `expiresAt` is before `before`, which are neither live nor have messages queued or deliveries pending, at
   * most `limit`. Their history stays for its own retention. Returns those that went.
   */
  readonly deleteExpiredSessions: (before: EpochMs, limit: number) => ReadonlyArray<Session>
  /** Keeps the newest `keep` runs of a series. */
  readonly trimRuns: (id: SeriesId, keep: number) => void
  /** Keeps the newest `keep` events. */
  readonly trimEvents: (keep: number) => void
}

export class LedgerDriver extends Context.Service<
  LedgerDriver,
  {
    /**
     * Runs `f` synchronously in one transaction: when the effect succeeds, everything that `f` wrote is durable; when it fails (a
     * `Result` failure, a throw, a storage error), nothing of it happened. Concurrent callers are serialised and may share one
     * commit. `f` is pure but for its writes, because it may be run again; only its last run counts.
     */
    readonly transaction: <A, E>(
      f: (tx: LedgerTx) => Result.Result<A, E>,
    ) => Effect.Effect<A, E | LedgerError>
    /** Reads one consistent snapshot. */
    readonly read: <A>(f: (reader: LedgerReader) => A) => Effect.Effect<A, LedgerError>
    /** A consistent copy of the whole ledger at `path` while it is in use. Refuses to overwrite. */
    readonly backup: (path: string) => Effect.Effect<void, LedgerError>
  }
>()("lamplighter/services/LedgerDriver") {}
