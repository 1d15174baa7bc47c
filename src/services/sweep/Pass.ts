/**
 * One pass of the sweep: expire, fire slots, look at the lives about which something changed, plan, and do what the plan says. A life that
 * nothing happened to costs two lstat calls.
 */
import { Array, Effect } from "effect"
import { earliest, type EpochMs } from "../../domain/Instant.ts"
import { type Moment, observe } from "../../domain/Life.ts"
import type { Outage } from "../../domain/SlotDecision.ts"
import { type LiveView, planSweep, type SweepAction } from "../../domain/SweepPlan.ts"
import type { LedgerError } from "../LedgerDriver.ts"
import { type Glance, type GlanceProblem, Mailbox } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import type { Concerned } from "../Touched.ts"
import { launch } from "../Waker.ts"
import { atBoundary } from "./Boundary.ts"
import { Clocks } from "./Clocks.ts"
import type { News } from "./Drain.ts"
import { end } from "./Ending.ts"
import { Errands } from "./Errands.ts"
import { Fleet, isDead, isLive, type Member } from "./Fleet.ts"
import { look, lookBlindly } from "./Look.ts"
import { Signals } from "./Signals.ts"
import { mustAsk, replanned } from "./Standing.ts"
import { Starts } from "./Starts.ts"
import { roomTaken, survey } from "./Survey.ts"

/** Rows of one expiry transaction. */
const BATCH = 200
/** Slots of one transaction: some 0.1 ms each, in which nothing else has its turn. */
const SLOT_BATCH = 32
/** Passes over a full batch before the sweep goes on: the rest waits for the next pass. */
const MAX_BATCHES = 50
const LOOK_CONCURRENCY = 8
/** After so many glances whatever else waits has its turn: one takes some 10 µs, all of it synchronous. */
const GLANCES_PER_TURN = 128
/** While anything is asked of the engine, the ledger is asked again this soon: what comes of it sets the instant of the next try. */
const ERRAND_LOOK_MS = 1_000

export interface Swept {
  readonly nextLookAt: EpochMs | null
  readonly live: number
  readonly news: "news" | "nothing"
}

/** `all`: glances at the files of every life. `named`: only at those that something was heard of, or whose own instant has come. */
export type Scope = "all" | "named"

export const pass = Effect.fnUntraced(function* (scope: Scope) {
  const fleet = yield* Fleet
  const starts = yield* Starts
  const clocks = yield* Clocks
  const now = yield* clocks.read
  yield* expireAndFire(now, clocks.outage())
  const news = yield* lookAtAll(scope)
  yield* (yield* Signals).tellStopping
  const { candidates, knownNextAt, maxContainers } = yield* survey(now)
  // An operator's wake may have come while the ledger was asked. From here to the reservation nothing else has its turn.
  const groupOf = new Map(
    candidates.flatMap(({ groupId, sessionId }) =>
      starts.underWay.has(sessionId) ? [] : [[sessionId, groupId] as const],
    ),
  )
  const { lives, restNextAt } = planned(fleet.all(), now)
  const room = starts.room(now)
  const plan = planSweep(
    {
      live: lives,
      knownNextAt: earliest(knownNextAt, restNextAt),
      wakes: {
        candidates: candidates.filter(({ sessionId }) => groupOf.has(sessionId)),
        maxContainers,
        ...roomTaken(fleet, starts),
        ...room,
      },
    },
    now,
  )
  starts.admitted(plan.admit, groupOf, room.breaker, now)
  // What is reserved is launched or its room is lost.
  yield* Effect.uninterruptible(Effect.forEach(plan.admit, (id) => launch(id, "due"), { discard: true }))
  yield* Effect.forEach(plan.actions, perform, { discard: true })
  const errands = yield* (yield* Errands).underWay
  return {
    nextLookAt: earliest(
      plan.nextLookAt,
      news === "more" ? now : null,
      errands > 0 ? now + ERRAND_LOOK_MS : null,
      starts.nextAt(plan.waiting, now),
    ),
    live: [...fleet.all()].length,
    news: news === "nothing" ? "nothing" : "news",
  } satisfies Swept
})

/** Each only where the ledger's index says that there is something to do. */
const expireAndFire = Effect.fnUntraced(function* (now: EpochMs, outage: Outage | null) {
  const store = yield* SessionStore
  const next = yield* store.read((reader) => ({ expiry: reader.nextExpiry(), slot: reader.nextSlot() }))
  if (next.expiry !== null && next.expiry < now) yield* repeated(BATCH, store.expireMessages)
  if (next.slot !== null && next.slot <= now)
    yield* repeated(SLOT_BATCH, (limit) => store.fireSlots(limit, outage))
})

const repeated = Effect.fnUntraced(function* (
  batch: number,
  step: (limit: number) => Effect.Effect<number, LedgerError>,
) {
  for (let round = 0; round < MAX_BATCHES; round++) if ((yield* step(batch)) < batch) return
})

const lookAtAll = Effect.fnUntraced(function* (scope: Scope) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const mailbox = yield* Mailbox
  const clocks = yield* Clocks
  const concerned = store.touched.drain()
  const before = scope === "all" ? fleet.glance(yield* clocks.now) : fleet.glancedAt()
  const heard: globalThis.Array<News> = []
  for (const turn of Array.chunksOf(fleet.all(), GLANCES_PER_TURN)) {
    const at = yield* clocks.now
    // Nothing can be dated by a glance from before a jump.
    const moment = { now: at, before: fleet.glancedAt() === null ? null : before }
    const visits = turn.flatMap((member) => visitOf(fleet, mailbox, member, concerned, scope, moment))
    heard.push(...(yield* Effect.forEach(visits, (visit) => visit, { concurrency: LOOK_CONCURRENCY })))
    yield* Effect.yieldNow
  }
  return heard.includes("more") ? "more" : heard.includes("news") ? "news" : "nothing"
})

/** What is to be done about one life in this pass: nothing for most, and then nothing is. */
const visitOf = (
  fleet: Fleet["Service"],
  mailbox: Mailbox["Service"],
  member: Member,
  concerned: Concerned,
  scope: Scope,
  moment: Moment,
) => {
  if (isDead(member)) return [visit(member, end(member))]
  if (!isLive(member) || member.ref === null) return []
  const isNamed =
    concerned.all ||
    concerned.sessions.has(member.pair.sessionId) ||
    concerned.groups.has(member.pair.groupId) ||
    mustAsk(member, moment.now)
  if (!isNamed && scope === "named" && member.files.backlog === null) return []
  const glance = glanceAt(mailbox, member)
  if (glance._tag === "Defect") return [visit(member, Effect.die(glance.defect))]
  if (glance._tag === "Quarantined") return [visit(member, Effect.fail(glance))]
  if (glance._tag === "Unreadable") return [visit(member, look(member, null, moment))]
  const life = observe(member.life, glance.heartbeatMtime, moment)
  const changed = life === member.life ? member : { ...member, life }
  const isNews = isNamed || glance.stamp !== member.files.stamp
  if (changed !== member || isNews) {
    fleet.changeLive(member.pair, () => (isNews ? changed : replanned(changed, moment.now)))
  }
  return isNews || mustAsk(changed, moment.now) ? [visit(member, look(changed, glance, moment))] : []
}

interface Defect {
  readonly _tag: "Defect"
  readonly defect: unknown
}

/** A defect in here is one session's, like any other: it is thrown again inside its boundary. */
const glanceAt = (mailbox: Mailbox["Service"], { pair }: Member): Glance | GlanceProblem | Defect => {
  try {
    return mailbox.glance(pair)
  } catch (defect) {
    return { _tag: "Defect", defect }
  }
}

/**
 * One session's failure stays its own. What can't be looked at is looked at again, and has its grace and SIGKILL all the same. It may have
 * failed after something was ingested, which is news to whoever delivers.
 */
const visit = <E extends { readonly _tag: string }, R>(
  { pair }: Member,
  what: Effect.Effect<News, E, R>,
): Effect.Effect<News, never, R | SessionStore | Fleet | Signals | Clocks> =>
  atBoundary<News | "failed", E, R>(pair.sessionId, what, "failed").pipe(
    Effect.flatMap((news) =>
      news === "failed"
        ? Effect.as(atBoundary(pair.sessionId, lookBlindly(pair), undefined), "news" as const)
        : Effect.succeed(news),
    ),
    // The ledger's trouble was told where it happened. What this look should have done is still to do.
    Effect.catchTag("LedgerError", () =>
      Fleet.use((fleet) =>
        Effect.sync(() => {
          fleet.changeLive(pair, (known) => ({ ...known, auditAt: 0 }))
          return "news" as const
        }),
      ),
    ),
  )

/** The lives that call for something now, and the next instant of all others. */
const planned = (members: Iterable<Member>, now: EpochMs) => {
  const lives: globalThis.Array<LiveView> = []
  let restNextAt: EpochMs | null = null
  for (const { nextAt, view } of members) {
    if (view !== null && nextAt !== null && nextAt <= now) lives.push(view)
    else restNextAt = earliest(restNextAt, nextAt)
  }
  return { lives, restNextAt }
}

const perform = Effect.fnUntraced(function* (action: SweepAction) {
  const fleet = yield* Fleet
  const signals = yield* Signals
  const pair = fleet.of(action.sessionId)?.pair
  if (pair?.incarnation !== action.incarnation) return
  if (action._tag === "Kill") return yield* signals.kill(pair)
  yield* signals.stopLive(pair, action.reason, action.why)
})
