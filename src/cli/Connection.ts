/**
 * How a command reaches Lamplighter: through the socket of the daemon that runs on the data directory. Commands that only read work
 * without one too: the same API answers in this process, from the ledger opened for reading.
 */
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as fs from "node:fs"
import { connect as connectSocket } from "node:net"
import * as path from "node:path"
import { loadSettings } from "../layers/Configuration.ts"
import { Api } from "../layers/http/Api.ts"
import { client } from "../layers/http/SocketClient.ts"
import { apiLayer } from "../layers/http/SocketServer.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { ContainerRuntime, RuntimeUnavailable, StartError } from "../services/ContainerRuntime.ts"
import { LedgerError } from "../services/LedgerDriver.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"
import { CommandError, dataDirectory } from "./Root.ts"

/** The socket on which a daemon listens. */
export const socketPath = (dataDir: string): string => path.join(dataDir, "daemon.sock")

/** A socket that nobody listens on was left by a daemon that died. */
const answers = (socket: string): Effect.Effect<"answers" | "nobody", CommandError> =>
  Effect.callback((resume) => {
    const connection = connectSocket(socket)
    connection.once("connect", () => {
      connection.destroy()
      resume(Effect.succeed("answers"))
    })
    connection.once("error", (error: NodeJS.ErrnoException) => {
      resume(
        error.code === "ENOENT" || error.code === "ECONNREFUSED"
          ? Effect.succeed("nobody")
          : Effect.fail(
              new CommandError({
                message: `the daemon's socket ${socket} can't be used: ${error.message}; run the command as the user who runs the daemon`,
              }),
            ),
      )
    })
  })

const notRunning = (dataDir: string): CommandError =>
  new CommandError({
    message: `no daemon runs in ${dataDir}; start one with 'lamplighter --data ${dataDir} up'`,
  })

/** Whether a daemon runs on this data directory. */
export const daemonAnswers = (dataDir: string): Effect.Effect<boolean, CommandError> =>
  Effect.map(answers(socketPath(dataDir)), (answer) => answer === "answers")

/** For commands that change something, or ask about what runs now: needs the daemon. */
export const connectDaemon = Effect.gen(function* () {
  const dataDir = yield* dataDirectory
  const socket = socketPath(dataDir)
  return (yield* answers(socket)) === "answers" ? yield* client(socket) : yield* notRunning(dataDir)
})

/** For commands that only read: the daemon if one runs, else the ledger as the last one left it. */
export const connectReading = Effect.gen(function* () {
  const dataDir = yield* dataDirectory
  const socket = socketPath(dataDir)
  return (yield* answers(socket)) === "answers" ? yield* client(socket) : yield* offline(dataDir)
})

const offline = Effect.fnUntraced(function* (dataDir: string) {
  const file = path.join(dataDir, "lamplighter.db")
  if (!(yield* Effect.sync(() => readable(file)))) return yield* notRunning(dataDir)
  const settings = yield* loadSettings({ env: process.env, dataDir })
  const nudge = yield* makeNudge
  const store = SessionStore.layer({
    policy: settings.policy,
    limits: settings.limits,
    zone: settings.zone,
  }).pipe(Layer.provide(SqliteLedger.layer({ path: file, mode: "read-only", commit: "immediate" })))
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

const readable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    return true
  } catch {
    return false
  }
}

const refused = Effect.fail(
  new LedgerError({ reason: "ReadOnly", message: "no daemon runs: start one with 'lamplighter up'" }),
)
const unavailable = Effect.fail(new RuntimeUnavailable({ message: "no daemon runs" }))

/** Without a daemon nothing sweeps, and nobody asks these. */
const idleSweep = Layer.succeed(
  Sweep,
  Sweep.of({
    recover: refused,
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
