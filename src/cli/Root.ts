/** The program's name, the flags that every command takes, where its data directory is, and what commands are made with. */
import { Effect, Option, Schema, type Scope } from "effect"
import { CliError, Command } from "effect/cli"
import { DATA_VARIABLE, locate } from "../layers/configuration/Location.ts"
import { choice, given, pathTo, type Said, whether } from "./Flags.ts"
import { hints } from "./Invocation.ts"
import { show } from "./Output.ts"

/** A command can't go on; the message says what would help. */
export class CommandError extends Schema.TaggedError<CommandError>()("CommandError", {
  message: Schema.String,
}) {}

export const refusal = (message: string): CommandError => new CommandError({ message })

/** The message of something that fails otherwise. */
export const asRefusal = ({ message }: { readonly message: string }): CommandError => refusal(message)

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** What Node throws, as the failure of the command; `what` says what could not be done. */
export const attempt = <A>(what: string, act: () => A): Effect.Effect<A, CommandError> =>
  Effect.try({
    try: act,
    catch: (cause) => refusal(`${what}: ${messageOf(cause)}`),
  })

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
    ? Effect.fail(refusal(`${DATA_VARIABLE} is empty; name the data directory in it, or unset it`))
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

/** A command that finds something out, or does it, and shows the answer: as JSON, or in these lines. `says` is for the help; null: the table of commands says it. */
export const showing = <const Flags extends Command.Command.Config, Answer, E, R>(
  name: string,
  says: string | null,
  flags: Flags,
  /** Takes what the flags say, under their names, and nothing of those that were left out. */
  act: (said: Said<Flags>) => Effect.Effect<Answer, E, R>,
  lines: (answer: Answer, said: Said<Flags>, say: (hint: string) => string) => ReadonlyArray<string>,
) =>
  Command.make(
    name,
    { flags, json: jsonFlag },
    Effect.fnUntraced(function* (input) {
      const said = given(input.flags)
      const answer = yield* act(said)
      const say = yield* hints
      yield* show(input.json, answer, () => lines(answer, said, say))
    }),
  ).pipe(Command.withDescription(says ?? ""))
