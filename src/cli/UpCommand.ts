/** `up`: the daemon, in the foreground, until it is interrupted or told to stop. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { goOnWithoutReader } from "./ClosedOutput.ts"
import { untilInterrupted } from "./Interruption.ts"
import { dataOption } from "./Root.ts"
import { up } from "./Up.ts"

const runtime = Flag.Literals("runtime", ["process", "docker"]).pipe(
  Flag.withDescription("What runs the agents; wins over the setting `runtime`"),
  Flag.optional,
)

export const upCommand = Command.make("up", { runtime }, (input) =>
  Effect.gen(function* () {
    goOnWithoutReader()
    return yield* untilInterrupted(
      up({ dataDir: yield* dataOption, runtime: Option.getOrUndefined(input.runtime) }),
    )
  }),
).pipe(Command.withDescription("Run the daemon in the foreground"))
