/** The program with a place to die: at the crash point that CRASH_AT names (`name`, or `name#n` for the n-th time) it kills itself. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { exitCodeOf, runWords } from "../../src/cli/Run.ts"
import { CrashPoint } from "../../src/services/CrashPoint.ts"

const [name, nth = "1"] = (process.env["CRASH_AT"] ?? "").split("#")
let left = Number(nth)

runWords(process.argv.slice(2)).pipe(
  Effect.provideService(CrashPoint, (hit) =>
    Effect.sync(() => {
      if (hit === name && --left === 0) process.kill(process.pid, "SIGKILL")
    }),
  ),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(exitCodeOf(exit)),
  }),
)
