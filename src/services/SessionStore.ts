/**
 * The ledger as the daemon and its callers use it: every operation is one atomic, durable transaction, with a crash point before
 * and after. The rules live in `ledger/`, the storage behind `LedgerDriver`; this module only joins them with clock and policy.
 */
import { Context, Deferred, Effect, Layer, Result } from "effect"
import type { DeliveryId, GroupId, InstallId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import type { Delivery } from "../domain/Delivery.ts"
import type { Group } from "../domain/Group.ts"
import type { Incarnation, ObservedExit, StopReason } from "../domain/Incarnation.ts"
import type { EpochMs } from "../domain/Instant.ts"
import type { Message } from "../domain/Message.ts"
import type { Outage } from "../domain/Outage.ts"
import { type HostLimits, type Policy } from "../domain/Policy.ts"
import type { Series } from "../domain/Series.ts"
import type { Session, SessionMode } from "../domain/Session.ts"
import {
  accept,
  type Accepted,
  type Address,
  type Cancellable,
  cancelMessage,
  type Draft,
  expireMessages,
  redriveMessage,
  resolveSession,
  sessionKey,
} from "./ledger/Accept.ts"
import {
  admitMore,
  type Admitted,
  beginIncarnation,
  type Begun,
  markStarted,
  requestStop,
  type WakeCause,
} from "./ledger/Admission.ts"
import { forward } from "./ledger/AgentMessages.ts"
import { redriveDelivery, type SendOutcome, settleDelivery, takeDelivery } from "./ledger/Deliveries.ts"
import { endIncarnation, failStart } from "./ledger/EndIncarnation.ts"
import { type QueuedWork, type Removal, removeGroup } from "./ledger/GroupRemoval.ts"
import { ingest, type Ingested } from "./ledger/Ingest.ts"
import { projectionOf } from "./ledger/Projection.ts"
import { Conflict, type Full, NotFound, type Refusal } from "./ledger/Refusals.ts"
import { noteClockJump, reanchorIntervals } from "./ledger/ClockJumps.ts"
import { cancelOverdue } from "./ledger/Occurrences.ts"
import { type Backfill, backfillSeries, runNow } from "./ledger/SeriesRuns.ts"
import {
  cancelSeries,
  createSeries,
  type NewSeries,
  pauseSeries,
  resumeSeries,
  type SeriesChange,
  updateSeries,
} from "./ledger/SeriesTransitions.ts"
import { type Addressee, findSession, type HostRoles, type Incoming, send, type Sent } from "./ledger/Send.ts"
import { fireSlots } from "./ledger/Slots.ts"
import { makeTransactions, sessionOfSeries, type Transactions } from "./ledger/Transactions.ts"
import { LedgerDriver, LedgerError, type LedgerReader, type LedgerTx } from "./LedgerDriver.ts"
import type { Projection, Reading } from "./Mailbox.ts"
import { makeTouched, type Touched } from "./Touched.ts"
import { makeTrouble, type Trouble } from "./Trouble.ts"

/** What the ledger's rules are resolved with: the daemon's policy, limits and zone. */
export interface StoreOptions {
  readonly policy: Policy
  readonly limits: HostLimits
  readonly zone: string
}

/** One operation on one series; see `ledger/SeriesTransitions.ts`. */
export type SeriesOperation =
  | { readonly _tag: "Update"; readonly change: SeriesChange }
  | { readonly _tag: "Pause"; readonly note: string | null }
  /** `catch-up`: the slots of the pause are dealt with as if the daemon had been down; otherwise they are only recorded. */
  | { readonly _tag: "Resume"; readonly pausedSlots?: "record" | "catch-up" | undefined }
  | { readonly _tag: "Cancel" }

export class SessionStore extends Context.Service<
  SessionStore,
  {
    readonly options: StoreOptions
    /** Which sessions the commits since the last look concerned. */
    readonly touched: Touched
    /** Whether the ledger's writes fail at present, and since when. */
    readonly trouble: Trouble
    /** Fails once the ledger writes nothing until it is opened again, which only another process can do. */
    readonly lost: Effect.Effect<never, LedgerError>
    /** Reads one consistent snapshot. */
    readonly read: <A>(f: (reader: LedgerReader) => A) => Effect.Effect<A, LedgerError>
    /** Adds a group or replaces it; the revision must be one above the stored one (1 for a new one). */
    readonly putGroup: (group: Group) => Effect.Effect<Group, Conflict | LedgerError>
    /** See `ledger/GroupRemoval.ts`: call again while it is `Going`. */
    readonly removeGroup: (
      id: GroupId,
      queued: QueuedWork,
    ) => Effect.Effect<Removal, NotFound | Conflict | LedgerError>
    /** Finds the session that mode and address resolve to, or makes it. */
    readonly resolveSession: (wanted: {
      readonly id: SessionId
      readonly groupId: GroupId
      readonly mode: SessionMode
      readonly address: Address
    }) => Effect.Effect<Session, NotFound | Conflict | LedgerError>
    /** The session that a request means, made if it is the first of its conversation. */
    readonly findSession: (to: Addressee, newId: SessionId) => Effect.Effect<Session, Refusal | LedgerError>
    /** All in one transaction: each is accepted or refused by itself, those that were refused before as they were. */
    readonly send: (
      incoming: ReadonlyArray<Result.Result<Incoming, Refusal>>,
      roles: HostRoles,
    ) => Effect.Effect<ReadonlyArray<Result.Result<Sent, Refusal>>, LedgerError>
    readonly accept: (
      sessionId: SessionId,
      draft: Draft,
    ) => Effect.Effect<Accepted, NotFound | Conflict | Full | LedgerError>
    /** `which`: `waiting` unless said; see `ledger/Accept.ts`. */
    readonly cancelMessage: (
      id: MessageId,
      which?: Cancellable,
    ) => Effect.Effect<Message, NotFound | Conflict | LedgerError>
    readonly redriveMessage: (
      id: MessageId,
      newId: MessageId,
    ) => Effect.Effect<Accepted, NotFound | Conflict | Full | LedgerError>
    readonly expireMessages: (limit: number) => Effect.Effect<number, LedgerError>

    readonly createSeries: (
      sessionId: SessionId,
      series: NewSeries,
    ) => Effect.Effect<Series, Refusal | LedgerError>
    readonly changeSeries: (
      id: SeriesId,
      operation: SeriesOperation,
    ) => Effect.Effect<Series, Refusal | LedgerError>
    readonly runSeriesNow: (
      id: SeriesId,
      messageId: MessageId,
    ) => Effect.Effect<Message, Refusal | LedgerError>
    /** Runs the slots of a range beside the schedule, each once under one name. Returns the occurrences it made. */
    readonly backfillSeries: (
      id: SeriesId,
      backfill: Backfill,
    ) => Effect.Effect<ReadonlyArray<Message>, Refusal | LedgerError>
    /**
     * Cancels what the session's container has worked on for longer than its task allows. No age starts before `ageOrigin` (0
     * unless the clock jumped). Returns how many.
     */
    readonly cancelOverdue: (
      sessionId: SessionId,
      ageOrigin: EpochMs,
    ) => Effect.Effect<number, NotFound | LedgerError>
    /** `outage`: what the daemon saw of the time in which nobody looked, if there was any. */
    readonly fireSlots: (limit: number, outage?: Outage | null) => Effect.Effect<number, LedgerError>
    /** Notes that the clock jumped by so much. Set back, it leaves work for `reanchorIntervals`. */
    readonly noteClockJump: (byMs: number) => Effect.Effect<void, LedgerError>
    /** Sets the grids of intervals back with the clock, of some series. Call again at the limit, and at a start. */
    readonly reanchorIntervals: (limit: number) => Effect.Effect<number, LedgerError>

    readonly beginIncarnation: (
      sessionId: SessionId,
      cause: WakeCause,
      bootId: string,
      hostId?: InstallId,
    ) => Effect.Effect<Begun, NotFound | Conflict | LedgerError>
    readonly markStarted: (
      sessionId: SessionId,
      incarnation: number,
      handle: string,
    ) => Effect.Effect<Incarnation | undefined, LedgerError>
    readonly failStart: (
      sessionId: SessionId,
      incarnation: number,
      failure: {
        readonly reason: string
        readonly message: string
        readonly backOff: "session" | "breaker"
      },
    ) => Effect.Effect<Incarnation | undefined, LedgerError>
    /** Keeps the difference of the container's clocks from the host's, in ms, for a daemon that adopts this life. */
    readonly noteSkew: (
      sessionId: SessionId,
      incarnation: number,
      skew: Pick<Incarnation, "rowSkewMs" | "fileSkewMs">,
    ) => Effect.Effect<void, LedgerError>
    readonly admitMore: (sessionId: SessionId) => Effect.Effect<Admitted, NotFound | LedgerError>
    readonly ingest: (
      pair: Pick<Incarnation, "sessionId" | "number">,
      reading: Reading,
    ) => Effect.Effect<Ingested, LedgerError>
    readonly requestStop: (
      sessionId: SessionId,
      incarnation: number,
      reason: StopReason,
      why: string,
    ) => Effect.Effect<Incarnation | undefined, LedgerError>
    readonly endIncarnation: (
      sessionId: SessionId,
      incarnation: number,
      exit: ObservedExit,
      reading: Reading,
    ) => Effect.Effect<Incarnation | undefined, LedgerError>
    readonly recordLog: (
      sessionId: SessionId,
      incarnation: number,
      logFile: string,
    ) => Effect.Effect<void, LedgerError>
    readonly projection: (
      sessionId: SessionId,
      incarnation: number,
      from: number,
    ) => Effect.Effect<Projection | undefined, LedgerError>
    /** `active` ends a hold or a quarantine, and the backoff with it. */
    readonly setStatus: (
      sessionId: SessionId,
      status: Session["status"],
      reason: string | null,
    ) => Effect.Effect<Session, NotFound | LedgerError>

    readonly takeDelivery: (id: DeliveryId) => Effect.Effect<Delivery | undefined, LedgerError>
    readonly settleDelivery: (
      id: DeliveryId,
      outcome: SendOutcome,
    ) => Effect.Effect<Delivery | undefined, LedgerError>
    /** Hands a delivery to the agent that it is for as a message, and settles it, in one transaction. */
    readonly forward: (id: DeliveryId) => Effect.Effect<void, LedgerError>
    readonly redriveDelivery: (id: DeliveryId) => Effect.Effect<Delivery, NotFound | Conflict | LedgerError>

    /** Deletes history past its retention, a bounded number of rows at a time. Returns how many. */
    readonly retain: (limit: number) => Effect.Effect<number, LedgerError>
    /** Removes sessions whose time is over: those of isolated runs. Returns them, for whoever removes their files. */
    readonly removeExpired: (limit: number) => Effect.Effect<ReadonlyArray<Session>, LedgerError>
    /** A consistent copy of the whole ledger at `path`, while it is in use. Refuses to overwrite. */
    readonly backup: (path: string) => Effect.Effect<void, LedgerError>
  }
>()("lamplighter/services/SessionStore") {
  static readonly layer = (options: StoreOptions): Layer.Layer<SessionStore, never, LedgerDriver> =>
    Layer.effect(SessionStore, make(options))
}

const make = Effect.fnUntraced(function* (options: StoreOptions) {
  const driver = yield* LedgerDriver
  const touched = makeTouched()
  const trouble = makeTrouble("writing to the ledger")
  const lost = yield* Deferred.make<never, LedgerError>()
  const noteFailure = (error: LedgerError) =>
    Effect.andThen(
      trouble.failed(error.message),
      error.reason === "Uncertain" || error.reason === "Closed" ? Deferred.fail(lost, error) : Effect.void,
    )

  const transactions = makeTransactions({
    driver,
    options,
    touched,
    worked: trouble.worked,
    failed: noteFailure,
  })
  return SessionStore.of({
    options,
    touched,
    trouble,
    lost: Deferred.await(lost),
    read: driver.read,
    ...ingress(transactions),
    ...seriesOf(transactions),
    ...livesOf(transactions),
    ...deliveriesOf(transactions),
    ...upkeepOf(transactions, options),
    projection: (sessionId, incarnation, from) =>
      driver.read((reader) => projectionOf(reader, sessionId, incarnation, from)),
    backup: driver.backup,
  })
})

/** Groups, and messages from outside. */
const ingress = ({ always, transact }: Transactions) =>
  ({
    putGroup: (group) =>
      transact("putGroup", (tx) => {
        const stored = tx.group(group.id)
        const expected = (stored?.revision ?? 0) + 1
        if (group.revision !== expected) {
          return Result.fail(
            new Conflict({
              message:
                stored === undefined
                  ? `there is no group '${group.id}' to change`
                  : `group '${group.id}' exists at revision ${stored.revision}; read it again and repeat`,
            }),
          )
        }
        tx.putGroup(group)
        return Result.succeed(group)
      }),
    removeGroup: (id, queued) => transact("removeGroup", (tx, known) => removeGroup(tx, id, queued, known)),
    resolveSession: ({ mode, address, ...wanted }) =>
      transact("resolveSession", (tx, known) =>
        resolveSession(
          tx,
          { ...wanted, key: sessionKey(mode, address), origin: "chat", address, expiresAt: null },
          known,
        ),
      ),
    findSession: (to, newId) =>
      transact("resolveSession", (tx, known) =>
        Result.map(findSession(tx, to, newId, known), ({ isNew, session }) => {
          if (isNew) tx.putSession(session)
          return session
        }),
      ),
    send: (incoming, roles) =>
      always("send", (tx, known) => incoming.map(Result.flatMap((one) => send(tx, one, roles, known)))),
    accept: (sessionId, draft) => transact("accept", (tx, known) => accept(tx, sessionId, draft, known)),
    cancelMessage: (id, which = "waiting") =>
      transact("cancelMessage", (tx, known) => cancelMessage(tx, id, which, known)),
    redriveMessage: (id, newId) =>
      transact("redriveMessage", (tx, known) => redriveMessage(tx, id, newId, known)),
    expireMessages: (limit) => always("expireMessages", (tx, known) => expireMessages(tx, limit, known)),
  }) satisfies Partial<SessionStore["Service"]>

/** Tasks. */
const seriesOf = ({ always, inUnit }: Transactions) =>
  ({
    createSeries: (sessionId, series) =>
      inUnit("createSeries", sessionId, (unit): Result.Result<Series, Refusal> =>
        unit.group === undefined
          ? Result.fail(NotFound.of("group", unit.session().groupId))
          : createSeries(unit, series),
      ),
    changeSeries: (id, operation) =>
      inUnit("changeSeries", sessionOfSeries(id), (unit): Result.Result<Series, Refusal> => {
        switch (operation._tag) {
          case "Update":
            return updateSeries(unit, id, operation.change)
          case "Pause":
            return pauseSeries(unit, id, operation.note)
          case "Resume":
            return resumeSeries(unit, id, operation.pausedSlots)
          case "Cancel":
            return cancelSeries(unit, id)
        }
      }),
    runSeriesNow: (id, messageId) =>
      inUnit("runSeriesNow", sessionOfSeries(id), (unit) => runNow(unit, id, messageId)),
    backfillSeries: (id, backfill) =>
      inUnit("backfillSeries", sessionOfSeries(id), (unit) => backfillSeries(unit, id, backfill)),
    cancelOverdue: (sessionId, ageOrigin) =>
      inUnit("cancelOverdue", sessionId, (unit) => Result.succeed(cancelOverdue(unit, ageOrigin))),
    fireSlots: (limit, outage = null) =>
      always("fireSlots", (tx, known) => fireSlots(tx, limit, known, outage)),
    noteClockJump: (byMs) => always("noteClockJump", (tx, known) => noteClockJump(tx, byMs, known)),
    reanchorIntervals: (limit) =>
      always("reanchorIntervals", (tx, known) => reanchorIntervals(tx, limit, known)),
  }) satisfies Partial<SessionStore["Service"]>

/** Sessions and the lives of their containers. */
const livesOf = ({ always, inUnit, transact }: Transactions) =>
  ({
    beginIncarnation: (sessionId, cause, bootId, hostId) =>
      transact("beginIncarnation", (tx, known) =>
        beginIncarnation(tx, sessionId, cause, { bootId, hostId: hostId ?? null }, known),
      ),
    markStarted: (sessionId, incarnation, handle) =>
      always("markStarted", (tx, known) => markStarted(tx, sessionId, incarnation, handle, known)),
    failStart: (sessionId, incarnation, failure) =>
      always("failStart", (tx, known) => failStart(tx, sessionId, incarnation, failure, known)),
    noteSkew: (sessionId, incarnation, skew) =>
      always("noteSkew", (tx) => {
        const row = tx.incarnation(sessionId, incarnation)
        if (row !== undefined && row.phase !== "ended") tx.putIncarnation({ ...row, ...skew })
      }),
    admitMore: (sessionId) => transact("admitMore", (tx, known) => admitMore(tx, sessionId, known)),
    ingest: (pair, reading) => always("ingest", (tx, known) => ingest(tx, pair, reading, known)),
    requestStop: (sessionId, incarnation, reason, why) =>
      always("requestStop", (tx, known) => requestStop(tx, sessionId, incarnation, reason, why, known)),
    endIncarnation: (sessionId, incarnation, exit, reading) =>
      always("endIncarnation", (tx, known) =>
        endIncarnation(tx, sessionId, incarnation, exit, reading, known),
      ),
    recordLog: (sessionId, incarnation, logFile) =>
      always("recordLog", (tx) => {
        const row = tx.incarnation(sessionId, incarnation)
        if (row === undefined) return
        tx.putIncarnation({ ...row, logFile })
        nameLog(tx, row, logFile)
      }),
    setStatus: (sessionId, status, reason) =>
      inUnit("setStatus", sessionId, (unit) => {
        unit.change({ status, statusReason: reason })
        if (status === "active") unit.change({ wakeFailures: 0, wakeNotBefore: 0, wakeError: null })
        unit.event(status === "active" ? "released" : "quarantined", null, reason ?? status)
        return Result.succeed(unit.session())
      }),
  }) satisfies Partial<SessionStore["Service"]>

/** Deliveries. */
const deliveriesOf = ({ always, transact }: Transactions) =>
  ({
    takeDelivery: (id) => always("takeDelivery", (tx, known) => takeDelivery(tx, id, known)),
    settleDelivery: (id, outcome) =>
      always("settleDelivery", (tx, known) => settleDelivery(tx, id, outcome, known)),
    forward: (id) => always("forward", (tx, known) => forward(tx, id, known)),
    redriveDelivery: (id) => transact("redriveDelivery", (tx, known) => redriveDelivery(tx, id, known)),
  }) satisfies Partial<SessionStore["Service"]>

/** What time ends. */
const upkeepOf = ({ always }: Transactions, options: StoreOptions) =>
  ({
    removeExpired: (limit) =>
      always("removeExpired", (tx, known) => tx.deleteExpiredSessions(known.now, limit)),
    retain: (limit) =>
      always("retain", (tx, known) => {
        tx.trimEvents(options.limits.maxEvents)
        return tx.deleteHistory(historyFloor(known.now, options.limits), limit)
      }),
  }) satisfies Partial<SessionStore["Service"]>

/** Runs of one life that get the name of its log; a life that ended more has the name in its own record. */
const MAX_NAMED_RUNS = 1_000

/** The log is written after the runs that it tells of: they get its name then. */
const nameLog = (tx: LedgerTx, { number, sessionId }: Incarnation, logFile: string): void => {
  for (const run of tx.runs({ sessionId }, { limit: MAX_NAMED_RUNS })) {
    if (run.incarnation === number) tx.putRun({ ...run, logFile })
    else if (run.incarnation > 0 && run.incarnation < number) return
  }
}

const historyFloor = (now: EpochMs, limits: HostLimits): EpochMs =>
  Math.max(0, now - limits.historyRetentionMs)
