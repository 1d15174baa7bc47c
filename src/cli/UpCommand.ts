/** `up`: the daemon, in the foreground, until it is interrupted or told to stop. */
import { Effect, Option } from "effect"
import { Command } from "effect/cli"
import { goOnWithoutReader } from "./ClosedOutput.ts"
import { untilInterrupted } from "./Interruption.ts"
import { dataOption, runtimeFlag } from "./Root.ts"
import { up } from "./Up.ts"

export const upCommand = Command.make("up", { runtime: runtimeFlag }, (input) =>
  Effect.gen(function* () {
    goOnWithoutReader()
    return yield* untilInterrupted(
      up({ dataDir: yield* dataOption, runtime: Option.getOrUndefined(input.runtime) }),
    )
  }),
)
