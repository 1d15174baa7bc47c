/** The operations without a daemon: the same programs in this process, over the ledger opened for reading. What would change anything is refused. */
import { Context, Effect, Layer } from "effect"
import { loadSettings } from "../layers/Configuration.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { ContainerRuntime, RuntimeUnavailable } from "../services/ContainerRuntime.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"

export const offlineClient = Effect.fnUntraced(function* (dataDir: string, ledger: string) {
  const { limits, policy, runtime, zone } = yield* loadSettings({ env: process.env, dataDir })
  const nudge = yield* makeNudge
  const store = SessionStore.layer({ policy, limits, zone }).pipe(
    Layer.provide(SqliteLedger.layer({ path: ledger, mode: "read-only", commit: "immediate" })),
  )
  const operations = Operations.layer({
    runtime: `${runtime}, no daemon runs`,
    owners: [],
    globalAdmins: [],
    look: nudge,
    deliver: nudge,
  }).pipe(Layer.provide(Layer.mergeAll(store, idleSweep, idleRuntime)))
  return Context.get(yield* Layer.build(operations), Operations)
})

const DOWN = { message: "no daemon runs" }

/** Without a daemon nothing sweeps and nothing runs, and nobody asks for more than this. */
const idleSweep = Layer.mock(Sweep)({ down: Effect.succeed(null), failing: Effect.succeed([]) })
const idleRuntime = Layer.mock(ContainerRuntime)({
  kind: "none",
  bootId: "",
  output: () => Effect.fail(new RuntimeUnavailable(DOWN)),
})
