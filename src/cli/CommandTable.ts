/**
 * The program's commands: the name of each, what it does in a line, and where it is. Only the module of the command that was asked for
 * is loaded; of the others the help shows what stands here.
 */
import { Effect, type Scope } from "effect"
import { Command } from "effect/cli"
import { Screen } from "./Output.ts"
import { root } from "./Root.ts"

/** A command, whatever its flags are: its parser and its handler agree, which this type need not say. */
type AnyCommand = Command.Command<
  any,
  never,
  object,
  unknown,
  Command.Environment | Command.CommandContext<"lamplighter"> | Scope.Scope
>

interface Entry {
  readonly says: string
  readonly load: () => Promise<AnyCommand>
}

export const commandTable: Readonly<Record<string, Entry>> = {
  init: {
    says: "Prepare a data directory: its configuration file, its ledger, a first group",
    load: async () => (await import("./InitCommand.ts")).initCommand,
  },
  up: {
    says: "Run the daemon in the foreground",
    load: async () => (await import("./UpCommand.ts")).upCommand,
  },
  down: {
    says: "Stop the daemon and its containers cleanly: no message pays for it",
    load: async () => (await import("./DownCommand.ts")).downCommand,
  },
  status: {
    says: "Show what runs, what waits and what is wrong",
    load: async () => (await import("./StatusCommand.ts")).statusCommand,
  },
  doctor: {
    says: "Check whether this host can run the daemon, and say what would help",
    load: async () => (await import("./DoctorCommand.ts")).doctorCommand,
  },
  group: {
    says: "Agent groups",
    load: async () => (await import("./GroupCommands.ts")).groupCommand,
  },
  image: {
    says: "Container images",
    load: async () => (await import("./ImageCommands.ts")).imageCommand,
  },
  session: {
    says: "Sessions",
    load: async () => (await import("./SessionCommands.ts")).sessionCommand,
  },
  send: {
    says: "Send a message to a group's session",
    load: async () => (await import("./SendCommand.ts")).sendCommand,
  },
  messages: {
    says: "Messages",
    load: async () => (await import("./MessageCommands.ts")).messagesCommand,
  },
  deliveries: {
    says: "Deliveries",
    load: async () => (await import("./MessageCommands.ts")).deliveriesCommand,
  },
  task: {
    says: "Recurring tasks",
    load: async () => (await import("./TaskCommands.ts")).taskCommand,
  },
  runs: {
    says: "List what ran, and what did not and why",
    load: async () => (await import("./RunsCommand.ts")).runsCommand,
  },
  next: {
    says: "Print the next instants of a schedule, without a daemon",
    load: async () => (await import("./NextCommand.ts")).nextCommand,
  },
  events: {
    says: "Print the timeline: what happened, in order",
    load: async () => (await import("./EventsCommand.ts")).eventsCommand,
  },
  logs: {
    says: "Print what a session's container wrote",
    load: async () => (await import("./LogsCommand.ts")).logsCommand,
  },
  backup: {
    says: "Copy the ledger, while the daemon runs or not, and check the copy",
    load: async () => (await import("./BackupCommand.ts")).backupCommand,
  },
  simulate: {
    says: "Play a scenario (docs/simulation.md) to see what a policy does, without a daemon",
    load: async () => (await import("./SimulateCommand.ts")).simulateCommand,
  },
}

/** The command that the words ask for, if any: the first word that is one, the value of `--data` excepted. */
const askedFor = (words: ReadonlyArray<string>): string | undefined =>
  words.find((word, at) => words[at - 1] !== "--data" && Object.hasOwn(commandTable, word))

/** The program, able to run what the words ask for. `--completions` and `--wizard` look at every command. */
export const programFor = async (words: ReadonlyArray<string>) => {
  const asked = askedFor(words)
  const all = words.some((word) => /^--(completions|wizard)\b/.test(word))
  const commands = await Promise.all(
    Object.entries(commandTable).map(async ([name, { load, says }]) =>
      Command.withDescription(all || name === asked ? await load() : Command.make(name), says),
    ),
  )
  return Command.withSubcommands(root, commands).pipe(
    Command.provideEffect(Screen, ({ raw }) => (raw ? Effect.succeed("pipe" as const) : Screen)),
  )
}
