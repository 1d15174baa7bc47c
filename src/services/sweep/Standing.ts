/** How the ledger stands for one life: one read, asked only when something about it changed. */
import type { Incarnation } from "../../domain/Incarnation.ts"
import { earliest, type EpochMs } from "../../domain/Instant.ts"
import { type Live, supplied } from "../../domain/Life.ts"
import { wakes } from "../../domain/Message.ts"
import type { Session } from "../../domain/Session.ts"
import { mayBeCondemned } from "../../domain/StuckAction.ts"
import { dueTo, planLive } from "../../domain/SweepPlan.ts"
import type { LedgerReader } from "../LedgerDriver.ts"
import { timedRuns } from "../ledger/Occurrences.ts"
import { policyOf } from "../ledger/SessionUnit.ts"
import { SessionStore } from "../SessionStore.ts"
import type { LiveMember, Standing } from "./Fleet.ts"

/** Rows shown to one container at most, context included, for the question whether any of them is work. */
const MAX_SHOWN = 10_000
/** Every life is looked at this often, whatever the feed says; spread, so that not all have their turn at once. */
const AUDIT_EVERY_MS = 60_000

/** Who stands nowhere is asked about this soon: at once would be a loop that nothing ends while the ledger is in trouble. */
const ASK_AGAIN_MS = 1_000

export interface Stands {
  readonly session: Session
  readonly incarnation: Incarnation
  readonly standing: Standing
}

/** Nothing where the ledger knows no such life, or has ended it. */
export const readStanding = (member: LiveMember, now: EpochMs) =>
  SessionStore.use((store) =>
    store.read((reader): Stands | undefined => {
      const { incarnation: number, sessionId } = member.pair
      const session = reader.session(sessionId)
      const incarnation = reader.incarnation(sessionId, number)
      if (session === undefined || incarnation === undefined || incarnation.phase === "ended")
        return undefined
      const policy = policyOf(reader, session.groupId, store.options.policy)
      const asked = mayBeCondemned(member.life, now, policy)
      const runs =
        member.life.claims.length === 0 ? [] : timedRuns(reader, sessionId, now, member.life.ageOrigin)
      return {
        session,
        incarnation,
        standing: {
          wakeAt: session.wakeAt,
          shown: session.queued > 0 && (!asked || showsWork(reader, member.life, now)),
          asked,
          activeAt: incarnation.activeAt,
          policy,
          overdueAt: earliest(...runs.map(({ limitMs, ranMs }) => now + limitMs - ranMs + 1)),
        },
      }
    }),
  )

const showsWork = (reader: LedgerReader, life: Live, now: EpochMs): boolean =>
  reader
    .admittedOpen(life.sessionId, life.incarnation, MAX_SHOWN)
    .some((message) => wakes(message) && message.dueAt <= now)

/** Works out again what the planner sees of it and when its answer would change, without asking the ledger. */
export const replan = (member: LiveMember, standing: Standing, now: EpochMs): LiveMember => {
  const { activeAt, overdueAt, policy, shown, wakeAt } = standing
  const due = wakeAt !== null && wakeAt <= now
  const life = supplied(member.life, { work: due || shown ? "due" : "nothing", activeAt }, now)
  const view = { life, due: dueTo(life, due, shown), needsFresh: member.needsFresh, policy }
  const decided = planLive(view, now)
  const nextAt =
    decided.action === null
      ? earliest(decided.nextChangeAt, overdueAt, wakeAt !== null && wakeAt > now ? wakeAt : null)
      : now
  return { ...member, life, standing, view, nextAt }
}

/** Whether only the ledger can say what has become of it. */
export const mustAsk = (member: LiveMember, now: EpochMs): boolean =>
  member.standing === null ||
  now >= member.auditAt ||
  now >= (member.nextAt ?? Infinity) ||
  (!member.standing.asked && mayBeCondemned(member.life, now, member.standing.policy))

/** The next audit of a life that was just looked at. */
export const nextAudit = (now: EpochMs, sessionId: string): EpochMs =>
  now +
  AUDIT_EVERY_MS -
  ((sessionId.length * 7_919 + sessionId.charCodeAt(sessionId.length - 1) * 613) % 15_000)

/** The same with what the ledger was last known to say; where that is nothing, it is to be asked soon, as it may not answer. */
export const replanned = (member: LiveMember, now: EpochMs): LiveMember =>
  member.standing === null ? { ...member, nextAt: now + ASK_AGAIN_MS } : replan(member, member.standing, now)
