/**
 * Plays a scenario: the daemon's unmodified services on a simulated host, with the agents, outages and operators that it describes.
 * The ledger's invariants are checked as in a campaign; what happened comes back as lanes, events and outcomes.
 */
import { Cause, Effect, Result } from "effect"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import type { Message } from "../domain/Message.ts"
import { defaultHostLimits, defaultPolicy } from "../domain/Policy.ts"
import { parseZone } from "../domain/Zone.ts"
import type { ContainerSide } from "../layers/memory/MemoryMailbox.ts"
import * as Agents from "../layers/memory/ScriptedAgents.ts"
import type { AgentScript } from "../layers/memory/SimulatedEngine.ts"
import type { LedgerReader } from "../services/LedgerDriver.ts"
import type { Pair } from "../services/Mailbox.ts"
import { DaemonLives } from "./DaemonLives.ts"
import { Ground } from "./Ground.ts"
import { Requests } from "./Requests.ts"
import { type AgentBehaviour, type Expectation, msOf, type ReadScenario } from "./Scenario.ts"
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

/** What each behaviour means as a script of the in-memory layers. */
const scriptOf = (agent: AgentBehaviour): AgentScript<ContainerSide> => {
  const works = agent.works === undefined ? {} : { workMs: msOf(agent.works) }
  const strikes = (row: { readonly id: string }): boolean =>
    agent.on === undefined || agent.on.includes(row.id)
  switch (agent.behaves) {
    case "healthy":
      return Agents.healthy(works)
    case "hangs":
      return Agents.silentAfterClaim({ onSigterm: agent.onSigterm === "releases" ? "releases" : "hangs" })
    case "never-claims":
      return Agents.neverClaims()
    case "crashes-at-start":
      return Agents.crashesAtStart(agent.code ?? 1, msOf(agent.after))
    case "crashes":
      return Agents.crashesMidMessage({ poison: strikes, exitCode: agent.code ?? 139, ...works })
    case "fails":
      return Agents.failsTheMessage({ retryable: agent.retryable ?? true, when: strikes, ...works })
    case "silent-tool":
      return Agents.toolSilent({
        declaredMs: agent.declares === undefined ? null : msOf(agent.declares),
        workMs: msOf(agent.works),
      })
    case "ignores-sigterm":
      return Agents.ignoresSigterm(works)
  }
}

/** What of an expectation does not hold, in words. */
const unmet = (reader: LedgerReader, wanted: Expectation): ReadonlyArray<string> => {
  const found: Array<string> = []
  const compare = (what: string, expected: unknown, actual: unknown): void => {
    if (expected !== undefined && expected !== actual)
      found.push(`expected ${what} to be ${String(expected)}, and it is ${String(actual)}`)
  }
  if (wanted.message !== undefined) {
    const message = reader.message(wanted.message)
    compare(`the state of message ${wanted.message}`, wanted.state, message?.state)
    compare(`the tries of message ${wanted.message}`, wanted.tries, message?.tries)
    compare(`the attempts of message ${wanted.message}`, wanted.attempts, message?.attempts)
  }
  if (wanted.session !== undefined) {
    const id = wanted.session
    const session = reader.session(id)
    const lives = session?.incarnation ?? 0
    compare(`session ${id} being live`, wanted.live, session?.live)
    if (lives > (wanted.livesAtMost ?? Infinity))
      found.push(`session ${id} had ${lives} lives, over ${wanted.livesAtMost}`)
    if (lives < (wanted.livesAtLeast ?? 0))
      found.push(`session ${id} had ${lives} lives, under ${wanted.livesAtLeast}`)
  }
  if (wanted.task !== undefined) {
    compare(`the status of task ${wanted.task}`, wanted.status, reader.series(wanted.task)?.status)
    const runs = reader
      .runs({ seriesId: wanted.task }, { limit: 100_000 })
      .filter(({ messageId }) => messageId !== null)
    if (runs.length < (wanted.runsAtLeast ?? 0))
      found.push(`task ${wanted.task} ran ${runs.length} times, under ${wanted.runsAtLeast}`)
  }
  return found
}
