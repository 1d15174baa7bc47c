/**
 * The start of an incarnation and what it is shown. The ledger records the intent first, so that a daemon that dies between
 * the record and the container finds either or both again. A container sees only rows that were admitted to it: due, and within
 * its limits, so pause, backoff and cancel never depend on its clock.
 *
 * A session has one life at a time: `live` is set here, and only the confirmed end (`EndIncarnation.ts`) takes it away.
 */
import { Result } from "effect"
import { addressOf } from "../../domain/Address.ts"
import type { Group } from "../../domain/Group.ts"
import { type InstallId, OutboundId, type MessageId, type SessionId } from "../../domain/Ids.ts"
import type { Incarnation, StopReason } from "../../domain/Incarnation.ts"
import type { Message } from "../../domain/Message.ts"
import type { Session } from "../../domain/Session.ts"
import { planAdmission } from "../../domain/Suspects.ts"
import type { LedgerReader, LedgerTx } from "../LedgerDriver.ts"
import type { Carryover } from "../Mailbox.ts"
import { conflict, type Conflict, NotFound } from "./Refusals.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

/** Context rows shown to one incarnation at most. */
const MAX_CONTEXT = 200
/** Outbound rows that a new pair is born with. */
const MAX_CARRIED = 100

export interface Begun {
  readonly incarnation: Incarnation
  readonly session: Session
  readonly group: Group
  readonly carryover: Carryover
}

/** Where a life begins. */
export interface Host {
  readonly hostId: InstallId | null
  readonly bootId: string
}

/** Whether the wake needs something due (the sweep's) or not (an operator's). */
export type WakeCause = "due" | "operator"

/**
 * Records a new incarnation as `starting` and admits what is due to it. `Conflict` when the session has one already, may not
 * wake, or has nothing due: the caller's picture was old, and nothing happened.
 */
export const beginIncarnation = (
  tx: LedgerTx,
  sessionId: SessionId,
  cause: WakeCause,
  host: Host,
  context: TransitionContext,
): Result.Result<Begun, NotFound | Conflict> => {
  const unit = openUnit(tx, sessionId, context)
  if (unit === undefined || unit.group === undefined) return Result.fail(NotFound.of("session", sessionId))
  const before = unit.session()
  if (before.live) return conflict(`session '${sessionId}' has a container already`)
  if (before.status !== "active") {
    return conflict(
      `session '${sessionId}' is ${before.status}; 'lamplighter session release ${sessionId}' makes it active again`,
    )
  }
  const number = before.incarnation + 1
  unit.change({ incarnation: number, live: true })
  const admitted = admitDue(unit, "first-poll")
  if (admitted.admitted === 0 && cause === "due") {
    return conflict(`session '${sessionId}' has nothing due`)
  }
  const incarnation: Incarnation = {
    sessionId,
    number,
    groupId: before.groupId,
    phase: "starting",
    handle: null,
    hostId: host.hostId,
    bootId: host.bootId,
    spawnedAt: context.now,
    startedAt: null,
    claimed: false,
    activeAt: context.now,
    rowSkewMs: null,
    fileSkewMs: null,
    stopReason: null,
    stopRequestedAt: null,
    endedAt: null,
    reason: null,
    exitCode: null,
    signal: null,
    oomKilled: false,
    durationMs: null,
    logFile: null,
    error: null,
  }
  tx.putIncarnation(incarnation)
  unit.event("woken", null, `incarnation ${number}, ${admitted.admitted} due`)
  const session = unit.close()
  return Result.succeed({
    incarnation,
    session,
    group: unit.group,
    carryover: carryoverOf(tx, session, context),
  })
}

/** What the next pair is born with: from the ledger alone, never from a container's old files. */
const carryoverOf = (
  reader: LedgerReader,
  session: Session,
  context: { readonly now: number },
): Carryover => ({
  sessionState: reader.sessionState(session.id),
  outbound: reader.lastOutbound(session.id, MAX_CARRIED).map((row) => ({
    id: row.outboundId ?? OutboundId.make(row.id),
    seq: row.seq ?? 0,
    inReplyTo: row.inReplyTo,
    timestampMs: row.createdAt,
    kind: row.kind,
    ...addressOf(row),
    content: row.content,
  })),
  createdAt: context.now,
})

export interface Admitted {
  readonly admitted: number
  /** Something due waits until the container is free, because a suspect runs alone. */
  readonly waitingForSolo: boolean
  /** Something due can be run by a fresh incarnation only. */
  readonly needsFresh: boolean
}

/** Shows the live incarnation what has come due since. */
export const admitMore = (
  tx: LedgerTx,
  sessionId: SessionId,
  context: TransitionContext,
): Result.Result<Admitted, NotFound> => {
  const unit = openUnit(tx, sessionId, context)
  if (unit === undefined) return Result.fail(NotFound.of("session", sessionId))
  if (!unit.session().live || unit.session().status !== "active") {
    return Result.succeed({ admitted: 0, waitingForSolo: false, needsFresh: false })
  }
  const admitted = admitDue(unit, "running")
  unit.close()
  return Result.succeed(admitted)
}

const admitDue = (unit: SessionUnit, moment: "first-poll" | "running"): Admitted => {
  const { tx, policy } = unit
  const session = unit.session()
  const shown = tx.admittedOpen(session.id, session.incarnation, policy.maxAdmitted + MAX_CONTEXT)
  const shownIds = new Set(shown.map((message) => message.id))
  const due = dueAtMoment(unit, moment, policy.maxAdmitted + shown.length + 1)
    .filter((message) => !shownIds.has(message.id))
    .map((message) => asTried(tx, message, session.incarnation))
  const plan = planAdmission(
    {
      due,
      shownOpen: shown,
      incarnation: session.incarnation,
      firstPoll: moment === "first-poll" ? "yes" : "no",
      runnerReoffers: unit.group?.runnerReoffers ?? true,
    },
    policy,
  )
  const chosen = new Set<MessageId>(plan.admit)
  for (const message of due) if (chosen.has(message.id)) admitOne(unit, message)
  if (chosen.size > 0 || moment === "first-poll") {
    for (const message of tx.contextPending(session.id, MAX_CONTEXT)) {
      if (message.admittedIn !== session.incarnation) admitOne(unit, message)
    }
  }
  return { admitted: chosen.size, waitingForSolo: plan.waitingForSolo, needsFresh: plan.needsFresh }
}

/** The head of the queue. Rows for the next wake are passed over while one runs, so that many of them hide nothing behind them. */
const dueAtMoment = (
  unit: SessionUnit,
  moment: "first-poll" | "running",
  wanted: number,
): ReadonlyArray<Message> => {
  for (let limit = wanted; ; limit *= 4) {
    const rows = unit.tx.duePending(unit.session().id, unit.context.now, limit)
    const now = moment === "first-poll" ? rows : rows.filter((message) => !message.onWake)
    if (now.length >= wanted || rows.length < limit) return now.slice(0, wanted)
  }
}

/** A row that this incarnation tried and gave back to the queue counts as shown: some runners never look at it again. */
const asTried = (tx: LedgerTx, message: Message, incarnation: number): Message => {
  if (message.attempts === 0) return message
  const [last] = tx.attempts(message.id, 1)
  return last?.incarnation === incarnation ? { ...message, admittedIn: incarnation } : message
}

const admitOne = (unit: SessionUnit, message: Message): void => {
  unit.updateMessage(message, {
    admittedIn: unit.session().incarnation,
    wokenAt: message.wokenAt ?? unit.context.now,
  })
}

/** The runtime confirmed the start. */
export const markStarted = (
  tx: LedgerTx,
  sessionId: SessionId,
  number: number,
  handle: string,
  context: TransitionContext,
): Incarnation | undefined => {
  const incarnation = tx.incarnation(sessionId, number)
  if (incarnation === undefined || incarnation.phase === "ended") return undefined
  const started: Incarnation = {
    ...incarnation,
    phase: incarnation.phase === "starting" ? "running" : incarnation.phase,
    handle,
    startedAt: incarnation.startedAt ?? context.now,
  }
  tx.putIncarnation(started)
  if (incarnation.startedAt === null) {
    const text = `incarnation ${number}`
    tx.appendEvent({ at: context.now, type: "started", sessionId, messageId: null, text })
  }
  return started
}

/** Records that the host stops it, and why: the first reason stands. The signal comes after, and may be sent again. */
export const requestStop = (
  tx: LedgerTx,
  sessionId: SessionId,
  number: number,
  reason: StopReason,
  why: string,
  context: TransitionContext,
): Incarnation | undefined => {
  const incarnation = tx.incarnation(sessionId, number)
  if (incarnation === undefined || incarnation.phase === "ended") return undefined
  if (incarnation.stopReason !== null) return incarnation
  const stopping: Incarnation = {
    ...incarnation,
    phase: "stopping",
    stopReason: reason,
    stopRequestedAt: context.now,
    error: why,
  }
  tx.putIncarnation(stopping)
  tx.appendEvent({ at: context.now, type: "stop", sessionId, messageId: null, text: `${reason}: ${why}` })
  return stopping
}
