/**
 * How a command reaches Lamplighter: through the socket of the daemon that runs on the data directory. Commands that only read work
 * without one too: the same API answers in this process, from the ledger opened for reading.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import { connect as connectSocket } from "node:net"
import * as path from "node:path"
import { socketPathProblem } from "../layers/http/PrivateSocket.ts"
import { type Client, client } from "../layers/http/SocketClient.ts"
import { asRefusal, type CommandError, dataDirectory, refusal } from "./Root.ts"

/** The socket on which a daemon listens. */
export const socketPath = (dataDir: string): string => path.join(dataDir, "daemon.sock")

const CONNECT_MS = 10_000

/** Whether a daemon runs on this data directory. A socket that nobody listens on was left by one that died. */
export const daemonAnswers = (dataDir: string): Effect.Effect<boolean, CommandError> =>
  Effect.callback((resume) => {
    const socket = socketPath(dataDir)
    const problem = socketPathProblem(socket)
    if (problem !== undefined) return resume(Effect.fail(asRefusal(problem)))
    const connection = connectSocket(socket)
    const ended = (answer: Effect.Effect<boolean, CommandError>) => {
      connection.destroy()
      resume(answer)
    }
    const unusable = (why: string) =>
      ended(
        Effect.fail(
          refusal(
            `the daemon's socket ${socket} can't be used: ${why}; run the command as the user who runs the daemon`,
          ),
        ),
      )
    connection.setTimeout(CONNECT_MS, () =>
      unusable(`nobody took the connection for ${CONNECT_MS / 1_000} s`),
    )
    connection.once("connect", () => ended(Effect.succeed(true)))
    connection.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") ended(Effect.succeed(false))
      else unusable(error.message)
    })
  })

const notRunning = (dataDir: string): CommandError =>
  refusal(
    fs.existsSync(dataDir)
      ? `the daemon is not running in ${dataDir}; start it with: lamplighter up`
      : `there is no data directory ${dataDir}; make it with: lamplighter init; then start the daemon with: lamplighter up`,
  )

/** For commands that change something, or ask about what runs now: needs the daemon. */
export const connectDaemon = Effect.gen(function* () {
  const dataDir = yield* dataDirectory
  return (yield* daemonAnswers(dataDir)) ? client(socketPath(dataDir)) : yield* notRunning(dataDir)
})

/** For commands that only read: the daemon if one runs, else the ledger as the last one left it. */
export const connectReading = Effect.gen(function* () {
  const dataDir = yield* dataDirectory
  if (yield* daemonAnswers(dataDir)) return client(socketPath(dataDir))
  const ledger = path.join(dataDir, "lamplighter.db")
  yield* Effect.try({
    try: () => fs.accessSync(ledger, fs.constants.R_OK),
    catch: (error) => {
      const code = error instanceof Error && "code" in error ? error.code : error
      if (code === "ENOENT") return notRunning(dataDir)
      return refusal(
        `the ledger ${ledger} can't be read (${String(code)}); run the command as the user who owns it`,
      )
    },
  })
  const { offlineClient } = yield* Effect.promise(() => import("./OfflineApi.ts"))
  const offline: Client = yield* offlineClient(dataDir, ledger)
  return offline
})
