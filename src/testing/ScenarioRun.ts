/**
 * Plays a scenario: the daemon's unmodified services on a simulated host, with the agents, outages and operators that it describes.
 * The ledger's invariants are checked as in a campaign; what happened comes back as lanes, events and outcomes.
 */
import { Cause, Context, Effect, Exit, Scope } from "effect"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import { isTerminal, type Message } from "../domain/Message.ts"
import { defaultHostLimits, defaultPolicy } from "../domain/Policy.ts"
import { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { LedgerDriver, type LedgerReader } from "../services/LedgerDriver.ts"
import { Mailbox } from "../services/Mailbox.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Workspace } from "../services/Workspace.ts"
import {
  faultyChannels,
  faultyLedger,
  faultyMailbox,
  faultyRuntime,
  faultyWorkspace,
  type FaultyWorld,
} from "./FaultyLayers.ts"
import { GroundTruth } from "./GroundTruth.ts"
import { LedgerWatch } from "./LedgerWatch.ts"
import { buildMachine } from "./Machine.ts"
import { msOf, type ReadScenario } from "./Scenario.ts"
import { scriptOf } from "./ScenarioAgents.ts"
import { unmet } from "./ScenarioExpectations.ts"
import { type Lane, Lanes } from "./ScenarioLanes.ts"
import { groupOf, schedule } from "./ScenarioStage.ts"
import { seededRandom } from "./SeededRandom.ts"
import { bootDaemon, type DaemonServices, type SimulatedDaemon } from "./SimulatedDaemon.ts"
import { SimulatedHost } from "./SimulatedHost.ts"
import { Weather } from "./Weather.ts"
import { plainGroup } from "../domain/Group.ts"

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

export const runScenario = (scenario: ReadScenario): ScenarioReport => {
  const startedAt = Date.parse(scenario.start ?? DEFAULT_START)
  const lastsMs = msOf(scenario.lasts)
  const random = seededRandom(scenario.name)
  const host = new SimulatedHost({ random: random.fork("order"), stride: 2_000, startedAt })
  const now = (): number => host.now()
  const policy = { ...defaultPolicy, ...scenario.policy }
  const truth = new GroundTruth()
  const weather = new Weather(() => {})
  const disappointments: Array<string> = []
  const violate = (invariant: number, message: string): void => {
    disappointments.push(`invariant ${invariant} broke: ${message}`)
  }
  const watch = new LedgerWatch({
    truth,
    policy,
    maxContainers: defaultHostLimits.maxContainers,
    now,
    wall: () => host.wall(),
    violate,
  })
  const agents = new Map(scenario.sessions.map(({ agent, id }) => [id as string, agent]))
  const machine = buildMachine(host, ({ labels }, launch) => {
    const lives = agents.get(labels.session) ?? []
    return scriptOf(lives[Math.min(launch, lives.length) - 1] ?? { behaves: "healthy" })
  })
  const engine = Context.get(machine.context, SimulatedEngine)
  const driver = Context.get(machine.context, LedgerDriver)
  const mailbox = Context.get(machine.context, Mailbox)
  const outside = host.spawn("outside")
  const after = (ms: number, task: () => void): void => void outside.after(ms, task)

  let current: SimulatedDaemon | null = null
  let furnished = false
  let lives = 0
  const boot = (): void => {
    if (current !== null) return
    lives += 1
    const process = host.spawn(`daemon-${lives}`)
    const faulty: FaultyWorld = {
      weather,
      truth,
      watch,
      random: random.fork(`daemon-${lives}`),
      violate,
      now,
      sessionIndex: () => -1,
      homeOf: (session) => session,
      beforeSignal: () => {},
      isAlive: process.isAlive,
      inEngine: machine.later,
    }
    current = bootDaemon({
      process,
      random: random.fork(`ids-${lives}`),
      layers: {
        ledger: faultyLedger(driver, faulty),
        mailbox: faultyMailbox(mailbox, faulty),
        workspace: faultyWorkspace(Context.get(machine.context, Workspace), faulty),
        channels: faultyChannels(faulty),
        engine,
        runtime: (plain) => faultyRuntime(plain, engine, faulty),
      },
      policy,
      limits: defaultHostLimits,
      zone: scenario.zone ?? "UTC",
      sweepIntervalMs: SWEEP_MS,
      pollIntervalMs: POLL_MS,
      onCrashPoint: () => "go-on",
      onLog: () => {},
      onReady: () => {
        if (!furnished) after(0, () => insist("the sessions", furnish(scenario), () => (furnished = true)))
      },
      onEnd: (failure) => {
        if (failure !== null) violate(0, `the daemon failed: ${failure}`)
        down(1_000)
      },
    })
  }
  const down = (ms: number): void => {
    truth.excuses += 1
    current?.kill()
    current = null
    after(ms, boot)
  }

  /** Asks until the daemon answers; a refusal is part of the report. */
  const insist = <A, E>(
    what: string,
    request: Effect.Effect<A, E, DaemonServices>,
    done: () => void = () => {},
  ): void => {
    const again = (): void => after(RETRY_MS, () => insist(what, request, done))
    if (current === null || !current.isReady() || (!furnished && what !== "the sessions")) return again()
    current.operate(request, (answer) => {
      if (answer === null) return again()
      if (Exit.isSuccess(answer)) return done()
      if (isPassing(answer.cause)) return again()
      disappointments.push(`${what} was refused: ${refusalText(answer.cause)}`)
    })
  }

  const lanes = new Lanes(
    scenario.sessions.map(({ id }) => id),
    (pair) => {
      const glance = mailbox.glance(pair)
      return glance._tag === "Glance" ? glance.heartbeatMtime : null
    },
  )
  const step = Math.max(1_000, Math.ceil(lastsMs / SAMPLES))
  const sample = (): void => {
    Effect.runSync(driver.read((reader) => lanes.sample(reader, host.wall())))
    after(step, sample)
  }

  schedule(scenario, { after, insist, weather, engine, now, down, wall: () => host.wall() })
  after(0, boot)
  after(0, sample)
  Effect.runSync(
    engine.listen((event) => current?.tell(event)).pipe(Effect.provideService(Scope.Scope, machine.scope)),
  )
  host.runUntil(lastsMs)

  const report = Effect.runSync(
    driver.read((reader) => ({
      events: allEvents(reader),
      messages: reader.messages({}, { limit: 100_000 }).toReversed(),
      lives: livesOf(reader, scenario),
      unmet: (scenario.expect ?? []).flatMap((expectation) => unmet(reader, expectation)),
      lanes: lanes.finish(reader, host.wall()),
    })),
  )
  outside.kill()
  const last = current as SimulatedDaemon | null
  last?.kill()
  machine.close()
  return {
    scenario,
    startedAt,
    lastsMs,
    lanes: report.lanes,
    events: report.events,
    messages: report.messages,
    lives: report.lives,
    disappointments: [...disappointments, ...report.unmet],
  }
}

const isPassing = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.every(
    (reason) =>
      reason._tag === "Fail" &&
      ["LedgerError", "Full"].includes((reason.error as { _tag?: string })._tag ?? ""),
  )

const refusalText = (cause: Cause.Cause<unknown>): string => {
  const [reason] = cause.reasons
  return reason?._tag === "Fail" && reason.error instanceof Error ? reason.error.message : Cause.pretty(cause)
}

/** Groups and sessions; repeatable. */
const furnish = (scenario: ReadScenario) =>
  Effect.gen(function* () {
    const operations = yield* Operations
    const store = yield* SessionStore
    for (const session of scenario.sessions) {
      const id = groupOf(session)
      if ((yield* store.read((reader) => reader.group(id))) === undefined) {
        yield* operations.addGroup(plainGroup(id))
      }
      yield* store.resolveSession({
        id: session.id,
        groupId: id,
        mode: "shared",
        address: { channelType: "test", platformId: session.id, threadId: null },
      })
    }
  })

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

/** Messages that had not ended when the scenario did. */
export const stillOpen = (report: ScenarioReport): ReadonlyArray<Message> =>
  report.messages.filter(({ state }) => !isTerminal(state))
