/** `down`: asks the daemon to stop as at SIGTERM, and returns when it has let go of its data directory. */
import { Clock, Effect } from "effect"
import { Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { connectDaemon, daemonAnswers } from "./Connection.ts"
import { isUnanswered } from "./Failure.ts"
import { textOr } from "./Flags.ts"
import { show } from "./Output.ts"
import { dataDirectory, jsonFlag, refusal } from "./Root.ts"
import { durationOf } from "./FlagTexts.ts"

const LOOK_EVERY_MS = 50

export const downCommand = Command.make(
  "down",
  { timeout: textOr("timeout", "60s", "Wait at most this long for it to end, e.g. 30s"), json: jsonFlag },
  Effect.fnUntraced(function* ({ json, timeout }) {
    const dataDir = yield* dataDirectory
    const timeoutMs = yield* durationOf("timeout", timeout)
    const stopping = (what: string) =>
      refusal(
        `the daemon in ${dataDir} ${what} after ${timeout}; process ${pidOf(dataDir)} goes on, and 'lamplighter down' may be repeated`,
      )
    const startedAt = yield* Clock.currentTimeMillis
    if (!(yield* daemonAnswers(dataDir)))
      return yield* show(json, { stopped: false }, () => [`no daemon is running in ${dataDir}`])
    yield* (yield* connectDaemon).shutdown().pipe(
      // A daemon that is on its way out may close the connection before it answers.
      Effect.catchIf(isUnanswered, () => Effect.void),
      Effect.timeoutOrElse({ duration: timeoutMs, orElse: () => Effect.fail(stopping("has not answered")) }),
    )
    // The lock goes last, when every container has stopped and the ledger is closed; it also goes with a daemon that dies meanwhile.
    const { probeDataDirectory } = yield* Effect.promise(
      () => import("../layers/sqlite/DataDirectoryProbe.ts"),
    )
    while (probeDataDirectory(dataDir) === "held") {
      if ((yield* Clock.currentTimeMillis) - startedAt >= timeoutMs)
        return yield* stopping("is still stopping its containers")
      yield* Effect.sleep(LOOK_EVERY_MS)
    }
    yield* show(json, { stopped: true }, () => [`the daemon in ${dataDir} has stopped`])
  }),
)

const pidOf = (dataDir: string): string => {
  const file = path.join(dataDir, "daemon.pid")
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : ""
  return /"pid":(\d+)/.exec(text)?.[1] ?? "of unknown id"
}
