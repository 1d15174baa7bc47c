/**
 * What every simulated world stands on, before a daemon runs in it: the host with its clock, the machine with the agents, the record of
 * what really happened, and the watch over the ledger. Seeded worlds and scenarios build on the same ground.
 */
import { Clock, Context, Effect, Exit, Layer, Scheduler, Scope } from "effect"
import type { Policy } from "../domain/Policy.ts"
import * as MemoryMailbox from "../layers/memory/MemoryMailbox.ts"
import * as MemoryWorkspace from "../layers/memory/MemoryWorkspace.ts"
import { type AgentScript, SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import type { LaunchSpec, RuntimeEvent } from "../services/ContainerRuntime.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { Mailbox } from "../services/Mailbox.ts"
import { Workspace } from "../services/Workspace.ts"
import { GroundTruth, type Violate, type Violation } from "./GroundTruth.ts"
import { LedgerWatch } from "./LedgerWatch.ts"
import { type SeededRandom, seededRandom } from "./SeededRandom.ts"
import { SimulatedHost, type SimulatedProcess } from "./SimulatedHost.ts"
import { Trace } from "./Trace.ts"
import { Weather } from "./Weather.ts"

export interface GroundOptions {
  readonly seed: string
  readonly policy: Policy
  readonly maxContainers: number
  readonly startedAt: number
  /** A fiber gives way after at most this many steps. */
  readonly stride: number
  readonly trace: "all" | "last"
  /** The agents that live on this ground. */
  readonly script: (
    ground: Ground,
  ) => (spec: LaunchSpec, launch: number) => AgentScript<MemoryMailbox.ContainerSide>
}

export class Ground {
  readonly random: SeededRandom
  readonly host: SimulatedHost
  readonly trace: Trace
  readonly truth: GroundTruth
  readonly weather: Weather
  readonly watch: LedgerWatch
  readonly machine: ReturnType<typeof buildMachine>
  readonly engine: SimulatedEngine["Service"]
  readonly driver: LedgerDriver["Service"]
  readonly mailbox: Mailbox["Service"]
  readonly workspace: Workspace["Service"]
  /** In the order in which they were found. */
  readonly violations: Array<Violation> = []
  private readonly outside: SimulatedProcess

  constructor(options: GroundOptions) {
    this.random = seededRandom(options.seed)
    this.trace = new Trace(options.trace)
    const { startedAt, stride } = options
    this.host = new SimulatedHost({ random: this.random.fork("order"), stride, startedAt })
    this.truth = new GroundTruth(this.now)
    this.weather = new Weather((fault) => this.note(`struck by ${fault.kind} #${fault.id}`))
    this.watch = new LedgerWatch({
      truth: this.truth,
      policy: options.policy,
      maxContainers: options.maxContainers,
      now: this.now,
      wall: this.wall,
      violate: this.violate,
    })
    this.outside = this.host.spawn("outside")
    this.machine = buildMachine(this.host, options.script(this))
    const { context } = this.machine
    this.engine = Context.get(context, SimulatedEngine)
    this.driver = Context.get(context, LedgerDriver)
    this.mailbox = Context.get(context, Mailbox)
    this.workspace = Context.get(context, Workspace)
  }

  /** Elapsed milliseconds. */
  readonly now = (): number => this.host.now()

  readonly wall = (): number => this.host.wall()

  readonly note = (line: string): void => this.trace.note(this.now(), line)

  readonly violate: Violate = (invariant, message) => {
    this.note(`VIOLATION of invariant ${invariant}: ${message}`)
    this.violations.push({ invariant, message, at: this.now() })
  }

  /** Runs `task` after `ms`, outside of the daemon. */
  readonly after = (ms: number, task: () => void): void => void this.outside.after(ms, task)

  /** Everything that the engine tells, until the ground is closed. */
  listen(told: (event: RuntimeEvent) => void): void {
    Effect.runSync(Effect.provideService(this.engine.listen(told), Scope.Scope, this.machine.scope))
  }

  close(): void {
    this.outside.kill()
    this.machine.close()
  }
}

/**
 * What survives the daemon: the ledger's storage, the exchange files, the container engine with the agents in it, the workspace. It
 * runs in a process of its own and is taken down with the world.
 */
const buildMachine = (
  host: SimulatedHost,
  script: (spec: LaunchSpec, launch: number) => AgentScript<MemoryMailbox.ContainerSide>,
) => {
  const process = host.spawn("machine")
  const scope = Scope.makeUnsafe()
  const layer = Layer.mergeAll(
    SimulatedEngine.layer({ script }),
    MemoryWorkspace.layer,
    SqliteLedger.layerMemory,
  ).pipe(Layer.provideMerge(MemoryMailbox.layer))
  const own = Context.make(Clock.Clock, process.clock).pipe(
    Context.add(Scheduler.Scheduler, process.scheduler),
  )
  const building = Effect.runForkWith(own)(Layer.buildWithScope(layer, scope))
  host.runUntil(0)
  const built = building.pollUnsafe()
  if (built === undefined || Exit.isFailure(built))
    throw new Error(`the world can't be built: ${String(built)}`)
  return {
    context: built.value,
    scope,
    /** Runs an effect there after a while. */
    later: (ms: number, effect: Effect.Effect<unknown, unknown>): void =>
      void process.after(ms, () => void Effect.runForkWith(own)(effect)),
    close: (): void => {
      Effect.runForkWith(own)(Scope.close(scope, Exit.void))
      host.runUntil(host.now() + 3_600_000)
      process.kill()
    },
  }
}
