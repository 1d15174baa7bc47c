/** `down`: asks the daemon to stop as at SIGTERM, and returns when it has let go of its data directory. */
import { Clock, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { connectDaemon, daemonAnswers } from "./Connection.ts"
import { isUnanswered } from "./Failure.ts"
import { show } from "./Output.ts"
import { CommandError, dataDirectory, jsonFlag } from "./Root.ts"
import { durationOf } from "./TimeFlags.ts"

const LOOK_EVERY_MS = 50

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
      const timeoutMs = yield* durationOf("timeout", input.timeout)
      const stopping = (what: string) =>
        new CommandError({
          message: `the daemon in ${dataDir} ${what} after ${input.timeout}; process ${pidOf(dataDir)} goes on, and 'lamplighter down' may be repeated`,
        })
      const startedAt = yield* Clock.currentTimeMillis
      if (!(yield* daemonAnswers(dataDir))) {
        return yield* show(input.json, { stopped: false }, () => [`no daemon is running in ${dataDir}`])
      }
      const api = yield* connectDaemon
      yield* api.shutdown().pipe(
        // A daemon that is on its way out may close the connection before it answers.
        Effect.catchIf(isUnanswered, () => Effect.void),
        Effect.timeoutOrElse({
          duration: timeoutMs,
          orElse: () => Effect.fail(stopping("has not answered")),
        }),
      )
      // The lock goes last, when every container has stopped and the ledger is closed; it also goes with a daemon that dies meanwhile.
      const { probeDataDirectory } = yield* Effect.promise(
        () => import("../layers/sqlite/DataDirectoryProbe.ts"),
      )
      while (probeDataDirectory(dataDir) === "held") {
        if ((yield* Clock.currentTimeMillis) - startedAt >= timeoutMs) {
          return yield* stopping("is still stopping its containers")
        }
        yield* Effect.sleep(LOOK_EVERY_MS)
      }
      yield* show(input.json, { stopped: true }, () => [`the daemon in ${dataDir} has stopped`])
    }),
).pipe(Command.withDescription("Stop the daemon and its containers cleanly: no message pays for it"))

const pidOf = (dataDir: string): string => {
  const file = path.join(dataDir, "daemon.pid")
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : ""
  return /"pid":(\d+)/.exec(text)?.[1] ?? "of unknown id"
}
