/** The program's name, the flags that every command takes, and where its data directory is. */
import { Effect, Option, Schema, type Scope } from "effect"
import { CliError, Command } from "effect/cli"
import { DATA_VARIABLE, locate } from "../layers/configuration/Location.ts"
import { choice, pathTo, whether } from "./Flags.ts"

/** A command can't go on; the message says what would help. */
export class CommandError extends Schema.TaggedError<CommandError>()("CommandError", {
  message: Schema.String,
}) {}

export const root = Command.make("lamplighter").pipe(
  Command.withSharedFlags({
    data: pathTo("data", "The data directory; the default is LAMPLIGHTER_DATA, then ~/.lamplighter"),
    raw: whether("raw", "On a terminal too, print control characters as they are, not as escapes"),
  }),
  Command.withDescription("Runs AI agents in containers, one per session, on demand"),
)

/** On every command that prints. */
export const jsonFlag = whether("json", "Print JSON")

/** Of the daemon, and of what examines a host for it. */
export const runtimeFlag = choice(
  "runtime",
  ["process", "docker"],
  "What runs the agents; wins over the setting `runtime`",
)

/** What `--data` says, if anything. */
export const dataOption = Effect.flatMap(root, ({ data }) =>
  Option.isNone(data) && process.env[DATA_VARIABLE] === ""
    ? Effect.fail(
        new CommandError({
          message: `${DATA_VARIABLE} is empty; name the data directory in it, or unset it`,
        }),
      )
    : Effect.succeed(Option.getOrUndefined(data)),
)

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

/** A command, whatever its flags are: its parser and its handler agree, which this type need not say. */
export type AnyCommand = Command.Command<
  any,
  never,
  object,
  unknown,
  Command.Environment | Command.CommandContext<"lamplighter"> | Scope.Scope
>

/** A command that is nothing without one of these. */
export const family = (name: string, commands: ReadonlyArray<AnyCommand>) =>
  Command.make(name, {}, () =>
    wrongWords(name, `a subcommand is missing: ${commands.map((one) => one.name).join(", ")}`),
  ).pipe(Command.withSubcommands(commands))

/** Runs what a library reports as a `Result`, with its own message. */
export const orCommandError = <A>(
  result:
    | { readonly _tag: "Success"; readonly success: A }
    | { readonly _tag: "Failure"; readonly failure: { readonly message: string } },
): Effect.Effect<A, CommandError> =>
  result._tag === "Success"
    ? Effect.succeed(result.success)
    : Effect.fail(new CommandError({ message: result.failure.message }))
