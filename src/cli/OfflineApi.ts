/** The API without a daemon: the same handlers in this process, over the ledger opened for reading. What would change anything is refused. */
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { loadSettings } from "../layers/Configuration.ts"
import { Api } from "../layers/http/Api.ts"
import { apiLayer } from "../layers/http/SocketServer.ts"
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
  const services = yield* Layer.build(operations)
  const web = yield* Effect.acquireRelease(
    Effect.sync(() =>
      HttpRouter.toWebHandler(
        apiLayer.pipe(
          Layer.provide(Layer.succeedContext(services)),
          Layer.provideMerge(HttpServer.layerServices),
        ),
        { disableLogger: true },
      ),
    ),
    ({ dispose }) => Effect.promise(dispose),
  )
  const transport = yield* Layer.build(
    FetchHttpClient.layer.pipe(
      Layer.provide(
        Layer.succeed(FetchHttpClient.Fetch, (input, init) => web.handler(new Request(input, init))),
      ),
    ),
  )
  return yield* HttpApiClient.make(Api, {
    transformClient: (http) =>
      http.pipe(HttpClient.mapRequest(HttpClientRequest.prependUrl("http://lamplighter"))),
  }).pipe(Effect.provideContext(transport))
})

const refused = Effect.fail(new LedgerError({ reason: "ReadOnly", message: "no daemon runs" }))
const unavailable = Effect.fail(new RuntimeUnavailable({ message: "no daemon runs" }))

/** Without a daemon nothing sweeps, and nobody asks these. */
const idleSweep = Layer.succeed(
  Sweep,
  Sweep.of({
    recover: refused,
    down: Effect.succeed(null),
    pass: refused,
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
