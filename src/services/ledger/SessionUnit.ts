/**
 * One session inside one transaction. Every change of a session or its messages goes through here, so that three things can't
 * be forgotten: the revision that inbound.db is projected by, the count of queued messages, and `wakeAt`, the index that lets
 * idle sessions cost nothing.
 */
import { Result } from "effect"
import * as Messages from "../../domain/Message.ts"
import { type HostLimits, type Policy, resolvePolicy } from "../../domain/Policy.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Group } from "../../domain/Group.ts"
import type { GroupId, SessionId } from "../../domain/Ids.ts"
import type { LedgerEventType } from "../../domain/LedgerEvent.ts"
import type { Session } from "../../domain/Session.ts"
import type { LedgerTx } from "../LedgerDriver.ts"

/** What a transition may know beside the ledger. */
export interface TransitionContext {
  readonly now: EpochMs
  /** The global policy; a group's overrides are laid over it. */
  readonly policy: Policy
  readonly limits: HostLimits
  /** The daemon's zone. */
  readonly zone: string
  /** 0 to 1, for jitter. */
  readonly random: number
}

export interface SessionUnit {
  readonly tx: LedgerTx
  readonly context: TransitionContext
  readonly group: Group | undefined
  readonly policy: Policy
  /** The unit of another session, open in the same transaction, from which this one was opened. */
  readonly outer: SessionUnit | undefined
  /** The session as it stands now, changes included. */
  readonly session: () => Session
  readonly change: (patch: Partial<Session>) => void
  /** The revision that rows changed in this transaction carry. The first call bumps it. */
  readonly revision: () => number
  readonly insertMessage: (fields: Omit<Messages.Message, "state" | "revision">) => Messages.Message
  /** Changes what is not its state. */
  readonly updateMessage: (before: Messages.Message, patch: Messages.MessagePatch) => Messages.Message
  /** Moves it to the state after the event. Dies where the table refuses that: callers ask first. */
  readonly moveMessage: <Event extends Messages.MessageEvent>(
    before: Messages.Message,
    event: Event,
    patch: Messages.MessagePatch,
  ) => Messages.Message & { readonly state: Messages.After<Event> }
  /** The next even sequence number. */
  readonly nextSeq: () => number
  readonly event: (type: LedgerEventType, messageId: string | null, text: string) => void
  /** Recomputes `wakeAt` and writes the session. Last call of every transition. */
  readonly close: () => Session
}

export const policyOf = (tx: { group: LedgerTx["group"] }, groupId: GroupId, global: Policy): Policy => {
  const group = tx.group(groupId)
  return group === undefined ? global : resolvePolicy(global, group.policy)
}

export const openUnit = (
  tx: LedgerTx,
  id: SessionId,
  context: TransitionContext,
  outer?: SessionUnit,
): SessionUnit | undefined => {
  const found = tx.session(id)
  return found === undefined ? undefined : unitOf(tx, found, context, outer)
}

/** Does it in the unit of that session: in one that is open already if there is one, so that no change is lost. */
export const inSession = <A>(
  unit: SessionUnit,
  id: SessionId,
  step: (unit: SessionUnit) => A,
): A | undefined => {
  for (let open: SessionUnit | undefined = unit; open !== undefined; open = open.outer) {
    if (open.session().id === id) return step(open)
  }
  return withUnit(unit.tx, id, unit.context, step, unit)
}

/** Does it in a new unit of that session, and closes that; nothing where there is no such session. */
export const withUnit = <A>(
  tx: LedgerTx,
  id: SessionId,
  context: TransitionContext,
  step: (unit: SessionUnit) => A,
  outer?: SessionUnit,
): A | undefined => {
  const unit = openUnit(tx, id, context, outer)
  if (unit === undefined) return undefined
  const result = step(unit)
  unit.close()
  return result
}

export const unitOf = (
  tx: LedgerTx,
  found: Session,
  context: TransitionContext,
  outer?: SessionUnit,
): SessionUnit => {
  let session = found
  let isSeen = true
  let bumped = false
  const wake = nextWake(tx, found)
  const group = tx.group(session.groupId)
  /** Whoever has seen the session keeps what they saw; changes that nobody sees between share one copy. */
  const change = (patch: Partial<Session>): void => {
    session = isSeen ? { ...session, ...patch } : Object.assign(session, patch)
    isSeen = false
  }
  const revision = (): number => {
    if (!bumped) {
      bumped = true
      change({ revision: session.revision + 1 })
    }
    return session.revision
  }
  return {
    tx,
    context,
    outer,
    group,
    policy: group === undefined ? context.policy : resolvePolicy(context.policy, group.policy),
    session: () => {
      isSeen = true
      return session
    },
    change,
    revision,
    insertMessage: (fields) => {
      const row = Messages.accepted(fields, revision())
      tx.putMessage(row)
      wake.inserted(row)
      change({ queued: session.queued + 1 })
      return row
    },
    updateMessage: (before, patch) => {
      const row = Messages.amended(before, { ...patch, revision: revision() })
      tx.putMessage(row)
      wake.changed()
      return row
    },
    moveMessage: (before, event, patch) => {
      const row = Result.getOrThrow(Messages.moved(before, event, { ...patch, revision: revision() }))
      tx.putMessage(row)
      wake.changed()
      if (Messages.isTerminal(row.state)) change({ queued: session.queued - 1 })
      return row
    },
    nextSeq: () => {
      change({ hostSeq: session.hostSeq + 2 })
      return session.hostSeq
    },
    event: (type, messageId, text) =>
      tx.appendEvent({ at: context.now, type, sessionId: session.id, messageId, text }),
    close: () => {
      change(wake.of(session))
      isSeen = true
      tx.putSession(session, found)
      return session
    },
  }
}

type Wake = Pick<Session, "wakeAt" | "wakePriority">

/**
 * The wake of a session that was right when it was read. As long as messages are only added to it, it is the earlier of that and
 * theirs, and nothing need be asked; otherwise the ledger is.
 */
const nextWake = (tx: LedgerTx, found: Session) => {
  let known: Wake | undefined = found.wakeNotBefore === 0 ? found : undefined
  return {
    changed: (): void => {
      known = undefined
    },
    inserted: (row: Messages.Message): void => {
      if (
        known === undefined ||
        !Messages.wakes(row) ||
        row.dueAt === Messages.HELD_BACK ||
        (found.live && row.onWake)
      )
        return
      const { wakeAt, wakePriority } = known
      const sooner =
        wakeAt === null || row.dueAt < wakeAt || (row.dueAt === wakeAt && row.priority > wakePriority)
      if (sooner) known = { wakeAt: row.dueAt, wakePriority: row.priority }
    },
    of: (session: Session): Wake => {
      const isAsItWas =
        session.status === found.status &&
        session.live === found.live &&
        session.incarnation === found.incarnation &&
        session.wakeNotBefore === found.wakeNotBefore
      if (known === undefined || !isAsItWas || session.status !== "active") return wakeOf(tx, session)
      return { wakeAt: known.wakeAt, wakePriority: known.wakePriority }
    },
  }
}

/** When the planner must look at this session without any event, and how urgent that is. */
const wakeOf = (tx: LedgerTx, session: Session): Wake => {
  if (session.status !== "active") return { wakeAt: null, wakePriority: 0 }
  const due = tx.earliestDue(session.id, {
    shownTo: session.live ? session.incarnation : -1,
    onWake: session.live ? "ignore" : "count",
  })
  if (due === undefined || due.dueAt === Messages.HELD_BACK) return { wakeAt: null, wakePriority: 0 }
  return {
    wakeAt: session.live ? due.dueAt : Math.max(due.dueAt, session.wakeNotBefore),
    wakePriority: due.priority,
  }
}
