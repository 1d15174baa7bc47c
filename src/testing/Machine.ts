/**
 * What survives the daemon in a simulated world: the ledger's storage, the exchange files, the container engine with the agents in
 * it, the workspace. It runs in a process of its own and is taken down with the world.
 */
import { Clock, Context, Effect, Exit, Layer, Scheduler, Scope } from "effect"
import * as MemoryMailbox from "../layers/memory/MemoryMailbox.ts"
import * as MemoryWorkspace from "../layers/memory/MemoryWorkspace.ts"
import { type AgentScript, SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import type { LaunchSpec } from "../services/ContainerRuntime.ts"
import type { LedgerDriver } from "../services/LedgerDriver.ts"
import type { Mailbox } from "../services/Mailbox.ts"
import type { Workspace } from "../services/Workspace.ts"
import type { SimulatedHost } from "./SimulatedHost.ts"

export interface Machine {
  readonly context: Context.Context<
    SimulatedEngine | LedgerDriver | Mailbox | Workspace | MemoryMailbox.ContainerSide
  >
  readonly scope: Scope.Scope
  /** Runs an effect there after a while. */
  readonly later: (ms: number, effect: Effect.Effect<unknown, unknown>) => void
  readonly close: () => void
}

export const buildMachine = (
  host: SimulatedHost,
  script: (spec: LaunchSpec, launch: number) => AgentScript<MemoryMailbox.ContainerSide>,
): Machine => {
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
    later: (ms, effect) => void process.after(ms, () => void Effect.runForkWith(own)(effect)),
    close: () => {
      Effect.runForkWith(own)(Scope.close(scope, Exit.void))
      host.runUntil(host.now() + 3_600_000)
      process.kill()
    },
  }
}
