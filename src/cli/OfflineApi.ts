/** The operations without a daemon: the same programs in this process, over the ledger opened for reading. What would change anything is refused. */
import { Context, Effect, Layer, Stream } from "effect"
import { loadSettings } from "../layers/Configuration.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { ContainerRuntime, RuntimeUnavailable, StartError } from "../services/ContainerRuntime.ts"
import { LedgerError } from "../services/LedgerDriver.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"

export const offlineClient = Effect.fnUntraced(function* (dataDir: string, ledger: string) {
  const settings = yield* loadSettings({ env: process.env, dataDir })
  const nudge = yield* makeNudge
  const store = SessionStore.layer({
    policy: settings.policy,
    limits: settings.limits,
    zone: settings.zone,
  }).pipe(Layer.provide(SqliteLedger.layer({ path: ledger, mode: "read-only", commit: "immediate" })))
  const operations = Operations.layer({
    runtime: `${settings.runtime}, no daemon runs`,
    owners: [],
    globalAdmins: [],
    look: nudge,
    deliver: nudge,
  }).pipe(Layer.provide(Layer.mergeAll(store, idleSweep, idleRuntime)))
  return Context.get(yield* Layer.build(operations), Operations)
})

const refused = Effect.fail(new LedgerError({ reason: "ReadOnly", message: "no daemon runs" }))
const unavailable = Effect.fail(new RuntimeUnavailable({ message: "no daemon runs" }))

/** Without a daemon nothing sweeps, and nobody asks these. */
const idleSweep = Layer.succeed(
  Sweep,
  Sweep.of({
    recover: refused,
    broken: Effect.never,
    down: Effect.succeed(null),
    pass: refused,
    attend: refused,
    failing: Effect.succeed([]),
    onEvent: () => refused,
    stop: () => refused,
    wake: () => refused,
    shutdown: refused,
  }),
)

const idleRuntime = Layer.succeed(
  ContainerRuntime,
  ContainerRuntime.of({
    kind: "none",
    bootId: "",
    start: () => Effect.fail(new StartError({ reason: "RuntimeDown", message: "no daemon runs" })),
    stop: () => unavailable,
    kill: () => unavailable,
    list: unavailable,
    adopt: () => unavailable,
    output: () => unavailable,
    remove: () => unavailable,
    events: Stream.never,
  }),
)
