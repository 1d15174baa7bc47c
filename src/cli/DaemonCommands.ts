/** The daemon as a whole: `up`, `down`, `status`, `backup`. */
import { Clock, Effect, Layer } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { parseDuration } from "../layers/configuration/QuantityText.ts"
import { checkBackup } from "../layers/sqlite/LedgerBackup.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { connectDaemon, connectReading, daemonAnswers } from "./Connection.ts"
import { instant, show } from "./Output.ts"
import { CommandError, dataDirectory, dataOption, jsonFlag } from "./Root.ts"
import { up } from "./Up.ts"

const LOOK_EVERY_MS = 50

export const upCommand = Command.make("up", {}, () =>
  Effect.gen(function* () {
    return yield* up({ dataDir: yield* dataOption })
  }),
).pipe(Command.withDescription("Run the daemon in the foreground"))

export const downCommand = Command.make(
  "down",
  {
    timeout: Flag.String("timeout").pipe(
      Flag.withDescription("Wait at most this long for it to end, e.g. 30s"),
      Flag.withDefault("60s"),
    ),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const timeoutMs = parseDuration(input.timeout)
      if (timeoutMs === undefined) {
        return yield* new CommandError({
          message: `--timeout ${input.timeout} is not a length of time; write it as 30s or 2m`,
        })
      }
      const api = yield* connectDaemon
      yield* api.shutdown()
      const deadline = (yield* Clock.currentTimeMillis) + timeoutMs
      // The process id file goes last, when every container has stopped and the ledger is closed.
      while (fs.existsSync(path.join(dataDir, "daemon.pid"))) {
        if ((yield* Clock.currentTimeMillis) >= deadline) {
          return yield* new CommandError({
            message: `the daemon in ${dataDir} is still stopping its containers after ${input.timeout}; it goes on doing so`,
          })
        }
        yield* Effect.sleep(LOOK_EVERY_MS)
      }
      yield* show(input.json, { stopped: true }, () => [`the daemon in ${dataDir} has stopped`])
    }),
).pipe(Command.withDescription("Stop the daemon and its containers cleanly: no message pays for it"))

export const statusCommand = Command.make("status", { json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const state = yield* (yield* connectReading).status()
    yield* show(input.json, state, () => [
      `runtime: ${state.runtime}`,
      `containers: ${state.live.length}`,
      `next wake: ${instant(state.nextWakeAt)}`,
      `next slot: ${instant(state.nextSlotAt)}`,
      ...state.live.map(
        (row) =>
          `live: ${row.sessionId} incarnation ${row.incarnation}, ${row.phase} since ${instant(row.spawnedAt)}`,
      ),
      ...state.failing.map((row) => `can't start: ${row.id}: ${row.wakeError ?? ""}`),
      ...state.quarantined.map(
        (row) =>
          `quarantined: ${row.id}: ${row.statusReason ?? ""}; 'lamplighter session release ${row.id}' ends it`,
      ),
    ])
  }),
).pipe(Command.withDescription("Show what runs, what waits and what is wrong"))

export const backupCommand = Command.make(
  "backup",
  {
    file: Argument.String("file").pipe(Argument.withDescription("Where the copy goes; must not exist")),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const target = path.resolve(input.file)
      if (yield* daemonAnswers(dataDir)) {
        yield* (yield* connectDaemon).backup({ payload: { path: target } })
      } else {
        yield* offlineBackup(path.join(dataDir, "lamplighter.db"), target)
      }
      yield* checkBackup(target)
      const { size } = fs.statSync(target)
      yield* show(input.json, { path: target, bytes: size }, () => [`${target}: ${size} bytes, checked`])
    }),
).pipe(Command.withDescription("Copy the ledger, while the daemon runs or not, and check the copy"))

const offlineBackup = Effect.fnUntraced(function* (file: string, target: string) {
  if (!fs.existsSync(file)) {
    return yield* new CommandError({
      message: `there is no ledger at ${file}; name the data directory with --data`,
    })
  }
  const ledger = SqliteLedger.layer({ path: file, mode: "read-only", commit: "immediate" })
  yield* Effect.flatMap(LedgerDriver, (driver) => driver.backup(target)).pipe(
    Effect.provide(ledger satisfies Layer.Layer<LedgerDriver, unknown>),
  )
})
