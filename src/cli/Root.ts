/** The program's name, the flags that every command takes, and where its data directory is. */
import { Effect, Option, Schema } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { locate } from "../layers/configuration/Location.ts"

/** A command can't go on; the message says what would help. */
export class CommandError extends Schema.TaggedError<CommandError>()("CommandError", {
  message: Schema.String,
}) {}

const dataFlag = Flag.String("data").pipe(
  Flag.withDescription("The data directory; the default is LAMPLIGHTER_DATA, then ~/.lamplighter"),
  Flag.optional,
)

const rawFlag = Flag.Boolean("raw").pipe(
  Flag.withDescription("On a terminal too, print control characters as they are, not as escapes"),
  Flag.withDefault(false),
)

export const root = Command.make("lamplighter").pipe(
  Command.withSharedFlags({ data: dataFlag, raw: rawFlag }),
  Command.withDescription("Runs AI agents in containers, one per session, on demand"),
)

/** On every command that prints. */
export const jsonFlag = Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false))

/** Of the daemon, and of what examines a host for it. */
export const runtimeFlag = Flag.Literals("runtime", ["process", "docker"]).pipe(
  Flag.withDescription("What runs the agents; wins over the setting `runtime`"),
  Flag.optional,
)

/** What `--data` says, if anything. */
export const dataOption = Effect.map(root, ({ data }) => Option.getOrUndefined(data))

/** Absolute. */
export const dataDirectory = Effect.map(
  dataOption,
  (dataDir) => locate({ env: process.env, dataDir }).dataDir,
)

/** What somebody typed is not what this command takes: told like any other mistake in the words. */
export const wrongWords = (command: string, message: string): CliError.ShowHelp =>
  new CliError.ShowHelp({
    commandPath: ["lamplighter", ...command.split(" ")],
    errors: [new CliError.ValidationError({ message })],
  })

/** Runs what a library reports as a `Result`, with its own message. */
export const orCommandError = <A>(
  result:
    | { readonly _tag: "Success"; readonly success: A }
    | { readonly _tag: "Failure"; readonly failure: { readonly message: string } },
): Effect.Effect<A, CommandError> =>
  result._tag === "Success"
    ? Effect.succeed(result.success)
    : Effect.fail(new CommandError({ message: result.failure.message }))
