/**
 * Plays a scenario: the daemon's unmodified services on a simulated host, with the agents, outages and operators that it describes.
 * The ledger's invariants are checked as in a campaign; what happened comes back as lanes, events and outcomes.
 */
import { Cause, Effect, Result } from "effect"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import type { Message } from "../domain/Message.ts"
import { defaultHostLimits, defaultPolicy } from "../domain/Policy.ts"
import { parseZone } from "../domain/Zone.ts"
import type { LedgerReader } from "../services/LedgerDriver.ts"
import type { Pair } from "../services/Mailbox.ts"
import { DaemonLives } from "./DaemonLives.ts"
import { Ground } from "./Ground.ts"
import { Requests } from "./Requests.ts"
import { msOf, type ReadScenario } from "./Scenario.ts"
import { scriptOf } from "./ScenarioAgents.ts"
import { unmet } from "./ScenarioExpectations.ts"
import { type Lane, Lanes } from "./ScenarioLanes.ts"
import { furnishScenario, schedule } from "./ScenarioStage.ts"

export interface ScenarioReport {
  readonly scenario: ReadScenario
  readonly startedAt: number
  readonly lastsMs: number
  readonly lanes: ReadonlyArray<Lane>
  readonly events: ReadonlyArray<LedgerEvent>
  readonly messages: ReadonlyArray<Message>
  /** Lives of each session, and why those ended that the host ended. */
  readonly lives: ReadonlyMap<
    string,
    { readonly count: number; readonly reasons: ReadonlyMap<string, number> }
  >
  /** What the scenario expected and did not find, requests that were refused, broken invariants. */
  readonly disappointments: ReadonlyArray<string>
}

const DEFAULT_START = "2027-01-04T09:00:00Z"
const RETRY_MS = 5_000
const SAMPLES = 3_000
const POLL_MS = 1_000
const SWEEP_MS = 60_000

/** The ground of a scenario, and a daemon that is asked for what it plans. */
const set = (scenario: ReadScenario, startedAt: number) => {
  const policy = { ...defaultPolicy, ...scenario.policy }
  const limits = defaultHostLimits
  const agents = new Map(scenario.sessions.map(({ agent, id }) => [id as string, agent]))
  const ground = new Ground({
    seed: scenario.name,
    policy,
    maxContainers: limits.maxContainers,
    startedAt,
    stride: 2_000,
    trace: "last",
    script:
      () =>
      ({ labels }, launch) => {
        const lives = agents.get(labels.session) ?? []
        return scriptOf(lives[Math.min(launch, lives.length) - 1] ?? { behaves: "healthy" })
      },
  })
  const lives = new DaemonLives(ground, {
    policy,
    limits,
    zone: Result.getOrElse(parseZone(scenario.zone ?? "UTC"), () => "UTC"),
    sweepIntervalMs: SWEEP_MS,
    pollIntervalMs: POLL_MS,
    sessionIndex: () => -1,
    homeOf: (session) => session,
    beforeSignal: () => {},
    onReady: () => requests.settle(),
  })
  const refusals: Array<string> = []
  const requests = new Requests({
    ground,
    lives,
    furnish: furnishScenario(scenario),
    retryMs: RETRY_MS,
    onRefused: (what, cause) => refusals.push(`${what} was refused: ${refusalText(cause)}`),
  })
  return { ground, lives, refusals, requests }
}

export const runScenario = (scenario: ReadScenario): ScenarioReport => {
  const startedAt = Date.parse(scenario.start ?? DEFAULT_START)
  const lastsMs = msOf(scenario.lasts)
  const { ground, lives, refusals, requests } = set(scenario, startedAt)
  const { after, driver, wall } = ground
  const heartbeatOf = (pair: Pair): number | null => {
    const glance = ground.mailbox.glance(pair)
    return glance._tag === "Glance" ? glance.heartbeatMtime : null
  }
  const lanes = new Lanes(
    scenario.sessions.map(({ id }) => id),
    heartbeatOf,
  )
  const step = Math.max(1_000, Math.ceil(lastsMs / SAMPLES))
  const sample = (): void => {
    Effect.runSync(driver.read((reader) => lanes.sample(reader, wall())))
    after(step, sample)
  }
  schedule(scenario, { ground, requests, crash: (ms) => lives.crash(ms, "as planned") })
  after(0, lives.boot)
  after(0, sample)
  ground.host.runUntil(lastsMs)

  const { unmet: disappointments, ...found } = Effect.runSync(
    driver.read((reader) => ({
      events: allEvents(reader),
      messages: reader.messages({}, { limit: 100_000 }).toReversed(),
      lives: livesOf(reader, scenario),
      unmet: (scenario.expect ?? []).flatMap((expectation) => unmet(reader, expectation)),
      lanes: lanes.finish(reader, wall()),
    })),
  )
  lives.end()
  ground.close()
  const broken = ground.violations.map(({ invariant, message }) => `invariant ${invariant} broke: ${message}`)
  return {
    scenario,
    startedAt,
    lastsMs,
    ...found,
    disappointments: [...broken, ...refusals, ...disappointments],
  }
}

const refusalText = (cause: Cause.Cause<unknown>): string => {
  const [reason] = cause.reasons
  return reason?._tag === "Fail" && reason.error instanceof Error ? reason.error.message : Cause.pretty(cause)
}

const allEvents = (reader: LedgerReader): ReadonlyArray<LedgerEvent> => {
  const events: Array<LedgerEvent> = []
  while (events.length < 200_000) {
    const page = reader.events({}, { after: events.at(-1)?.position ?? 0, limit: 1_000 })
    events.push(...page)
    if (page.length < 1_000) break
  }
  return events
}

const livesOf = (reader: LedgerReader, scenario: ReadScenario): ScenarioReport["lives"] =>
  new Map(
    scenario.sessions.map(({ id }) => {
      const rows = reader.incarnations(id, { limit: 100_000 })
      const reasons = new Map<string, number>()
      for (const { reason } of rows) if (reason !== null) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      return [id, { count: rows.length, reasons }]
    }),
  )
