/**
 * The ledger as the daemon and its callers use it: every operation is one atomic, durable transaction, with a crash point before
 * and after. The rules live in `ledger/`, the storage behind `LedgerDriver`; this module only joins them with clock and policy.
 */
import { Context, Deferred, Effect, Layer, Result } from "effect"
import type { Address } from "../domain/Address.ts"
import type { DeliveryId, GroupId, InstallId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import type { Group } from "../domain/Group.ts"
import type { Incarnation, ObservedExit, StopReason } from "../domain/Incarnation.ts"
import type { EpochMs } from "../domain/Instant.ts"
import type { Outage } from "../domain/SlotDecision.ts"
import { type HostLimits, type Policy } from "../domain/Policy.ts"
import type { Series } from "../domain/Series.ts"
import type { Session, SessionMode } from "../domain/Session.ts"
import * as Accept from "./ledger/Accept.ts"
import { admitMore, beginIncarnation, markStarted, requestStop, type WakeCause } from "./ledger/Admission.ts"
import { forward } from "./ledger/AgentMessages.ts"
import { redriveDelivery, type SendOutcome, settleDelivery, takeDelivery } from "./ledger/Deliveries.ts"
import { endIncarnation, failStart } from "./ledger/EndIncarnation.ts"
import { type QueuedWork, removeGroup } from "./ledger/GroupRemoval.ts"
import { ingest } from "./ledger/Ingest.ts"
import { projectionOf } from "./ledger/Projection.ts"
import { conflict, NotFound, type Refusal } from "./ledger/Refusals.ts"
import { markClock, noteClockJump, reanchorIntervals } from "./ledger/ClockJumps.ts"
import { cancelOverdue } from "./ledger/Occurrences.ts"
import { type Backfill, backfillSeries, runNow } from "./ledger/SeriesRuns.ts"
import * as SeriesTransitions from "./ledger/SeriesTransitions.ts"
import { type Addressee, findSession, type HostRoles, type Incoming, send } from "./ledger/Send.ts"
import { fireSlots } from "./ledger/Slots.ts"
import { makeTransactions, sessionOfSeries, type Transactions } from "./ledger/Transactions.ts"
import { LedgerDriver, type LedgerError, type LedgerTx } from "./LedgerDriver.ts"
import type { Reading } from "./Mailbox.ts"
import { makeTouched } from "./Touched.ts"
import { makeTrouble } from "./Trouble.ts"

/** What the ledger's rules are resolved with: the daemon's policy, limits and zone. */
export interface StoreOptions {
  readonly policy: Policy
  readonly limits: HostLimits
  readonly zone: string
}

/** One operation on one series; see `ledger/SeriesTransitions.ts`. */
export type SeriesOperation =
  | { readonly _tag: "Update"; readonly change: SeriesTransitions.SeriesChange }
  | { readonly _tag: "Pause"; readonly note: string | null }
  /** `catch-up`: the slots of the pause are dealt with as if the daemon had been down; otherwise they are only recorded. */
  | { readonly _tag: "Resume"; readonly pausedSlots?: "record" | "catch-up" | undefined }
  | { readonly _tag: "Cancel" }

export class SessionStore extends Context.Service<SessionStore, Effect.Success<ReturnType<typeof make>>>()(
  "lamplighter/services/SessionStore",
) {
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
  return {
    options,
    /** Which sessions the commits since the last look concerned. */
    touched,
    /** Whether the ledger's writes fail at present, and since when. */
    trouble,
    /** Fails once the ledger writes nothing until it is opened again, which only another process can do. */
    lost: Deferred.await(lost),
    /** Reads one consistent snapshot. */
    read: driver.read,
    ...ingress(transactions),
    ...seriesOf(transactions),
    ...livesOf(transactions),
    ...deliveriesOf(transactions),
    ...upkeepOf(transactions, options),
    projection: (sessionId: SessionId, incarnation: number, from: number) =>
      driver.read((reader) => projectionOf(reader, sessionId, incarnation, from)),
    /** A consistent copy of the whole ledger at `path`, while it is in use. Refuses to overwrite. */
    backup: driver.backup,
  }
})

/** Groups, and messages from outside. */
const ingress = ({ always, transact }: Transactions) => ({
  /** Adds a group or replaces it; the revision must be one above the stored one (1 for a new one). */
  putGroup: (group: Group) =>
    transact("putGroup", (tx) => {
      const stored = tx.group(group.id)
      const expected = (stored?.revision ?? 0) + 1
      if (group.revision !== expected) {
        return conflict(
          stored === undefined
            ? `there is no group '${group.id}' to change`
            : `group '${group.id}' exists at revision ${stored.revision}; read it again and repeat`,
        )
      }
      tx.putGroup(group)
      return Result.succeed(group)
    }),
  /** See `ledger/GroupRemoval.ts`: call again while it is `Going`. */
  removeGroup: (id: GroupId, queued: QueuedWork) =>
    transact("removeGroup", (tx, known) => removeGroup(tx, id, queued, known)),
  /** Finds the session that mode and address resolve to, or makes it. */
  resolveSession: ({
    mode,
    address,
    ...wanted
  }: {
    readonly id: SessionId
    readonly groupId: GroupId
    readonly mode: SessionMode
    readonly address: Address
  }) =>
    transact("resolveSession", (tx, known) =>
      Accept.resolveSession(
        tx,
        { ...wanted, key: Accept.sessionKey(mode, address), origin: "chat", address, expiresAt: null },
        known,
      ),
    ),
  /** The session that a request means, made if it is the first of its conversation. */
  findSession: (to: Addressee, newId: SessionId) =>
    transact("resolveSession", (tx, known) =>
      Result.map(findSession(tx, to, newId, known), ({ isNew, session }) => {
        if (isNew) tx.putSession(session)
        return session
      }),
    ),
  /** All in one transaction: each is accepted or refused by itself, those that were refused before as they were. */
  send: (incoming: ReadonlyArray<Result.Result<Incoming, Refusal>>, roles: HostRoles) =>
    always("send", (tx, known) => incoming.map(Result.flatMap((one) => send(tx, one, roles, known)))),
  accept: (sessionId: SessionId, draft: Accept.Draft) =>
    transact("accept", (tx, known) => Accept.accept(tx, sessionId, draft, known)),
  /** `which`: `waiting` unless said; see `ledger/Accept.ts`. */
  cancelMessage: (id: MessageId, which: Accept.Cancellable = "waiting") =>
    transact("cancelMessage", (tx, known) => Accept.cancelMessage(tx, id, which, known)),
  redriveMessage: (id: MessageId, newId: MessageId) =>
    transact("redriveMessage", (tx, known) => Accept.redriveMessage(tx, id, newId, known)),
  expireMessages: (limit: number) =>
    always("expireMessages", (tx, known) => Accept.expireMessages(tx, limit, known)),
})

/** Tasks. */
const seriesOf = ({ always, inUnit }: Transactions) => ({
  createSeries: (sessionId: SessionId, series: SeriesTransitions.NewSeries) =>
    inUnit("createSeries", sessionId, (unit): Result.Result<Series, Refusal> =>
      unit.group === undefined
        ? Result.fail(NotFound.of("group", unit.session().groupId))
        : SeriesTransitions.createSeries(unit, series),
    ),
  changeSeries: (id: SeriesId, operation: SeriesOperation) =>
    inUnit("changeSeries", sessionOfSeries(id), (unit): Result.Result<Series, Refusal> => {
      switch (operation._tag) {
        case "Update":
          return SeriesTransitions.updateSeries(unit, id, operation.change)
        case "Pause":
          return SeriesTransitions.pauseSeries(unit, id, operation.note)
        case "Resume":
          return SeriesTransitions.resumeSeries(unit, id, operation.pausedSlots)
        case "Cancel":
          return SeriesTransitions.cancelSeries(unit, id)
      }
    }),
  runSeriesNow: (id: SeriesId, messageId: MessageId) =>
    inUnit("runSeriesNow", sessionOfSeries(id), (unit) => runNow(unit, id, messageId)),
  /** Runs the slots of a range beside the schedule, each once under one name. Returns the occurrences it made. */
  backfillSeries: (id: SeriesId, backfill: Backfill) =>
    inUnit("backfillSeries", sessionOfSeries(id), (unit) => backfillSeries(unit, id, backfill)),
  /**
   * Cancels what the session's container has worked on, at that instant, for longer than its task allows. No age starts before
   * `ageOrigin` (0 unless the clock jumped). Returns how many.
   */
  cancelOverdue: (sessionId: SessionId, ageOrigin: EpochMs, at: EpochMs) =>
    inUnit("cancelOverdue", sessionId, (unit) => Result.succeed(cancelOverdue(unit, ageOrigin, at))),
  /** `outage`: what the daemon saw of the time in which nobody looked, if there was any. */
  fireSlots: (limit: number, outage: Outage | null = null) =>
    always("fireSlots", (tx, known) => fireSlots(tx, limit, known, outage)),
  /** Notes that the clock jumped by so much. Set back, it leaves work for `reanchorIntervals`. */
  noteClockJump: (byMs: number) => always("noteClockJump", (tx, known) => noteClockJump(tx, byMs, known)),
  /** Keeps where both clocks of this boot stand, for the next daemon. */
  markClock: (mark: Parameters<typeof markClock>[1]) => always("markClock", (tx) => markClock(tx, mark)),
  /** Sets the grids of intervals back with the clock, of some series. Call again at the limit, and at a start. */
  reanchorIntervals: (limit: number) =>
    always("reanchorIntervals", (tx, known) => reanchorIntervals(tx, limit, known)),
})

/** Sessions and the lives of their containers. */
const livesOf = ({ always, inUnit, transact }: Transactions) => ({
  beginIncarnation: (sessionId: SessionId, cause: WakeCause, bootId: string, hostId?: InstallId) =>
    transact("beginIncarnation", (tx, known) =>
      beginIncarnation(tx, sessionId, cause, { bootId, hostId: hostId ?? null }, known),
    ),
  markStarted: (sessionId: SessionId, incarnation: number, handle: string) =>
    always("markStarted", (tx, known) => markStarted(tx, sessionId, incarnation, handle, known)),
  failStart: (sessionId: SessionId, incarnation: number, failure: Parameters<typeof failStart>[3]) =>
    always("failStart", (tx, known) => failStart(tx, sessionId, incarnation, failure, known)),
  /** Keeps the difference of the container's clocks from the host's, in ms, for a daemon that adopts this life. */
  noteSkew: (
    sessionId: SessionId,
    incarnation: number,
    skew: Pick<Incarnation, "rowSkewMs" | "fileSkewMs">,
  ) =>
    always("noteSkew", (tx) => {
      const row = tx.incarnation(sessionId, incarnation)
      if (row !== undefined && row.phase !== "ended") tx.putIncarnation({ ...row, ...skew })
    }),
  admitMore: (sessionId: SessionId) => transact("admitMore", (tx, known) => admitMore(tx, sessionId, known)),
  ingest: (pair: Pick<Incarnation, "sessionId" | "number">, reading: Reading) =>
    always("ingest", (tx, known) => ingest(tx, pair, reading, known)),
  requestStop: (sessionId: SessionId, incarnation: number, reason: StopReason, why: string) =>
    always("requestStop", (tx, known) => requestStop(tx, sessionId, incarnation, reason, why, known)),
  endIncarnation: (sessionId: SessionId, incarnation: number, exit: ObservedExit, reading: Reading) =>
    always("endIncarnation", (tx, known) => endIncarnation(tx, sessionId, incarnation, exit, reading, known)),
  recordLog: (sessionId: SessionId, incarnation: number, logFile: string) =>
    always("recordLog", (tx) => {
      const row = tx.incarnation(sessionId, incarnation)
      if (row === undefined) return
      tx.putIncarnation({ ...row, logFile })
      nameLog(tx, row, logFile)
    }),
  /** `active` ends a hold or a quarantine, and the backoff with it. */
  setStatus: (sessionId: SessionId, status: Session["status"], reason: string | null) =>
    inUnit("setStatus", sessionId, (unit) => {
      unit.change({ status, statusReason: reason })
      if (status === "active") unit.change({ wakeFailures: 0, wakeNotBefore: 0, wakeError: null })
      unit.event(status === "active" ? "released" : "quarantined", null, reason ?? status)
      return Result.succeed(unit.session())
    }),
})

/** Deliveries. */
const deliveriesOf = ({ always, transact }: Transactions) => ({
  takeDelivery: (id: DeliveryId) => always("takeDelivery", (tx, known) => takeDelivery(tx, id, known)),
  settleDelivery: (id: DeliveryId, outcome: SendOutcome) =>
    always("settleDelivery", (tx, known) => settleDelivery(tx, id, outcome, known)),
  /** Hands a delivery to the agent that it is for as a message, and settles it, in one transaction. */
  forward: (id: DeliveryId) => always("forward", (tx, known) => forward(tx, id, known)),
  redriveDelivery: (id: DeliveryId) =>
    transact("redriveDelivery", (tx, known) => redriveDelivery(tx, id, known)),
})

/** What time ends. */
const upkeepOf = ({ always }: Transactions, options: StoreOptions) => ({
  /** Removes sessions whose time is over: those of isolated runs. Returns them, for whoever removes their files. */
  removeExpired: (limit: number) =>
    always("removeExpired", (tx, known) => tx.deleteExpiredSessions(known.now, limit)),
  /** Deletes history past its retention, a bounded number of rows at a time. Returns how many. */
  retain: (limit: number) =>
    always("retain", (tx, known) => {
      tx.trimEvents(options.limits.maxEvents)
      return tx.deleteHistory(historyFloor(known.now, options.limits), limit)
    }),
})

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
