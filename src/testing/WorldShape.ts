/**
 * What a simulated world is like before anything goes wrong: how many sessions, which zone and season, how patient the policy is,
 * what is sent and when, which tasks recur. A seed decides all of it, so that no two campaigns look at the same small corner.
 */
import { Schema } from "effect"
import { GroupId, SessionId } from "../domain/Ids.ts"
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import { defaultPolicy, type Policy } from "../domain/Policy.ts"
import type { SeriesSettings } from "../services/ledger/SeriesTransitions.ts"
import type { SeededRandom } from "./SeededRandom.ts"

/** Somebody sends a message; repeated under the same id until it is acknowledged. */
export interface PlannedSend {
  readonly at: number
  readonly id: string
  readonly session: number
  readonly dueInMs: number
  readonly ttlMs: number | null
  readonly trigger: boolean
  readonly onWake: boolean
  readonly priority: 0 | 1 | 2
}

export interface PlannedTask {
  readonly at: number
  readonly id: string
  readonly session: number
  readonly schedule: string
  readonly settings?: SeriesSettings
  readonly ttlMs?: number | null
  /** What every run of it is like; without it, as any other work. */
  readonly run?: TaskRun
}

/** How long its agent works on each run, and whether it says in the end that it failed for good. */
export const TaskRun = Schema.Struct({
  workMs: Schema.Finite,
  ends: Schema.Literals(["well", "badly"]),
})
export type TaskRun = typeof TaskRun.Type

export interface WorldShape {
  readonly days: number
  readonly sessions: number
  readonly groups: number
  readonly zone: string
  readonly startedAt: number
  readonly policy: Policy
  readonly sweepIntervalMs: number
  readonly pollIntervalMs: number
  readonly agentPollMs: number
  /** The containers' clock minus the host's. */
  readonly agentSkewMs: number
  readonly maxContainers: number
  /** A fiber gives way after at most this many steps. */
  readonly stride: number
  readonly runnerReoffers: boolean
  readonly historyRetentionMs: number
  readonly sends: ReadonlyArray<PlannedSend>
  readonly tasks: ReadonlyArray<PlannedTask>
}

export const groupName = (index: number): GroupId => GroupId.make(`g${index}`)

export const sessionName = (index: number): SessionId => SessionId.make(`s${index}`)

/** The session's number; of an isolated run, that of its task's session. -1: the plan does not know it. */
export const sessionIndex = (id: string): number => Number(/^s(\d+)(?:-i\d+)?$/.exec(id)?.[1] ?? -1)

/** The session to which a session's answers belong: that of the task of an isolated run. */
export const homeOf = (session: string): SessionId => sessionName(sessionIndex(session))

/** Zones with an instant shortly before one of their clock changes, where they have any. */
const SEASONS: ReadonlyArray<readonly [zone: string, change: string]> = [
  ["Europe/Paris", "2026-10-25T01:00:00Z"],
  ["Europe/Paris", "2027-03-28T01:00:00Z"],
  ["America/New_York", "2026-11-01T06:00:00Z"],
  ["America/New_York", "2027-03-14T07:00:00Z"],
  ["Australia/Lord_Howe", "2027-04-03T15:00:00Z"],
  ["Australia/Lord_Howe", "2026-10-03T15:30:00Z"],
  ["Asia/Kolkata", "2027-01-10T00:00:00Z"],
  ["UTC", "2026-12-31T00:00:00Z"],
]

const SCHEDULES = [
  "every 2h",
  "every 1h",
  "every 47m",
  "*/30 */2 * * *",
  "0 * * * *",
  "30 2 * * *",
  "30 1 * * *",
  "0 9 * * 1-5",
] as const

/** Most containers share the host's clock; those of a virtual machine or of another host don't. */
const SKEWS = [0, 0, 0, 5 * MINUTE_MS, -5 * MINUTE_MS, HOUR_MS, -HOUR_MS]

/** Of the sessions of isolated runs. */
export const LONGEST_RETENTION_MS = 3 * HOUR_MS

export const planWorld = (random: SeededRandom, days: number, intensity = 1): WorldShape => {
  const sessions = random.between(2, 5)
  const [zone, change] = random.pick(SEASONS)
  const patient = random.chance(0.3)
  const span = days * DAY_MS
  // The change falls into the first two days.
  const startedAt = Date.parse(change) - random.below(Math.min(span, 2 * DAY_MS))
  return {
    days,
    sessions,
    groups: random.between(1, 2),
    zone,
    startedAt,
    policy: {
      ...defaultPolicy,
      idleMs: random.pick([10 * SECOND_MS, 30 * SECOND_MS, 2 * MINUTE_MS]),
      ceilingMs: patient ? defaultPolicy.ceilingMs : 5 * MINUTE_MS,
      startupLimitMs: patient ? defaultPolicy.startupLimitMs : 2 * MINUTE_MS,
      maxContainersPerGroup: random.pick([1, 2, 10]),
      maxMessagesPerPrompt: random.pick([1, 10]),
      retryJitter: random.pick([0, 0.5]),
      deliveryLimit: random.pick([4, 12]),
    },
    sweepIntervalMs: random.pick([5 * MINUTE_MS, 20 * MINUTE_MS, 45 * MINUTE_MS]),
    // Mostly slower than the default: what matters comes with a doorbell, and empty looks only cost time.
    pollIntervalMs: random.chance(0.03)
      ? SECOND_MS
      : random.pick([15 * SECOND_MS, 30 * SECOND_MS, MINUTE_MS]),
    agentPollMs: random.pick([5 * SECOND_MS, 15 * SECOND_MS, 30 * SECOND_MS]),
    agentSkewMs: random.fork("skew").pick(SKEWS),
    maxContainers: random.pick([1, 3, 20]),
    stride: random.pick([25, 150, 2_000]),
    runnerReoffers: random.chance(0.7),
    historyRetentionMs: random.pick([DAY_MS, 30 * DAY_MS]),
    sends: planSends(random, sessions, span, intensity),
    tasks: Array.from({ length: random.between(0, 3) }, (_, index) =>
      planTask(random.fork(`task-${index}`), index, sessions, startedAt, span),
    ),
  }
}

const planTask = (
  random: SeededRandom,
  index: number,
  sessions: number,
  startedAt: number,
  span: number,
): PlannedTask => {
  const at = random.below(HOUR_MS)
  const dense = random.chance(0.5)
  // Where runs take longer than their period, there are few of them: a queue that only grows tests nothing more.
  const denseAt = startedAt + at + random.below(Math.max(1, span - 3 * HOUR_MS))
  return {
    at,
    id: `t${index}`,
    session: random.below(sessions),
    schedule: dense ? random.pick(["every 10m", "*/10 * * * *"]) : random.pick(SCHEDULES),
    ttlMs: random.pick([null, null, 20 * MINUTE_MS]),
    settings: {
      overlap: random.pick(["skip", "buffer-one", "buffer-all", "cancel-other", "allow-all"] as const),
      catchUp: random.pick(["latest", "skip", "all"] as const),
      bounds: {
        jitterMs: random.pick([0, 0, 4 * MINUTE_MS]),
        maxRuns: random.pick([null, null, 6]),
        ...(dense ? { startAt: denseAt, endAt: denseAt + 90 * MINUTE_MS } : {}),
      },
      policy: {
        catchUpWindowMs: random.pick([null, 40 * MINUTE_MS]),
        catchUpCap: random.pick([3, 100]),
        staggerMs: random.pick([0, 30 * SECOND_MS]),
        bufferLimit: random.pick([2, 100]),
        pauseAfterFailures: random.pick([null, 2]),
        startToCloseMs: random.pick([null, null, 8 * MINUTE_MS]),
        context: random.chance(0.3) ? "isolated" : "group",
        isolatedRetentionMs: random.pick([5 * MINUTE_MS, LONGEST_RETENTION_MS]),
        retryLimit: random.pick([null, 1]),
      },
    },
    ...(dense || random.chance(0.3)
      ? {
          run: {
            workMs: random.pick([0, 4 * MINUTE_MS, 13 * MINUTE_MS]),
            ends: random.chance(0.25) ? "badly" : "well",
          } as const,
        }
      : {}),
  }
}

/** Bursts with quiet between them, as people write. */
const planSends = (
  random: SeededRandom,
  sessions: number,
  span: number,
  intensity: number,
): ReadonlyArray<PlannedSend> => {
  const sends: Array<PlannedSend> = []
  const bursts = Math.ceil((span / DAY_MS) * intensity * random.between(3, 8))
  for (let burst = 0; burst < bursts; burst++) {
    let at = random.below(span)
    const session = random.below(sessions)
    for (let left = random.between(1, 4); left > 0; left--) {
      at += random.magnitude(1, MINUTE_MS)
      const special = random.below(12)
      sends.push({
        at: Math.min(at, span - 1),
        id: `m${sends.length}`,
        session: special === 0 ? random.below(sessions) : session,
        dueInMs: special === 1 ? random.magnitude(SECOND_MS, 2 * HOUR_MS) : 0,
        ttlMs: special === 2 ? random.magnitude(SECOND_MS, HOUR_MS) : null,
        trigger: special !== 3,
        onWake: special === 4,
        priority: special === 5 ? 2 : special === 6 ? 0 : 1,
      })
    }
  }
  return sends.sort((one, other) => one.at - other.at)
}
