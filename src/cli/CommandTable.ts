/**
 * The program's commands: the name of each, what it does in a line, and where it is. Only the module of the command that was asked for
 * is loaded; of the others the help shows what stands here.
 */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { Screen } from "./Output.ts"
import { type AnyCommand, root } from "./Root.ts"

/** What each command does. */
const says = {
  init: "Prepare a data directory: its configuration file, its ledger, a first group",
  up: "Run the daemon in the foreground",
  down: "Stop the daemon and its containers cleanly: no message pays for it",
  status: "Show what runs, what waits and what is wrong",
  doctor: "Check whether this host can run the daemon, and say what would help",
  group: "Agent groups",
  image: "Container images",
  session: "Sessions",
  send: "Send a message to a group's session",
  messages: "Messages",
  deliveries: "Deliveries",
  task: "Recurring tasks",
  runs: "List what ran, and what did not and why",
  next: "Print the next instants of a schedule, without a daemon",
  events: "Print the timeline: what happened, in order",
  logs: "Print what a session's container wrote",
  backup: "Copy the ledger, while the daemon runs or not, and check the copy",
  simulate: "Play a scenario (docs/simulation.md) to see what a policy does, without a daemon",
}

/** Where each command is. */
export const commandTable: Readonly<Record<keyof typeof says, () => Promise<AnyCommand>>> = {
  init: () => import("./InitCommand.ts").then((module) => module.initCommand),
  up: () => import("./UpCommand.ts").then((module) => module.upCommand),
  down: () => import("./DownCommand.ts").then((module) => module.downCommand),
  status: () => import("./StatusCommand.ts").then((module) => module.statusCommand),
  doctor: () => import("./DoctorCommand.ts").then((module) => module.doctorCommand),
  group: () => import("./GroupCommands.ts").then((module) => module.groupCommand),
  image: () => import("./ImageCommands.ts").then((module) => module.imageCommand),
  session: () => import("./SessionCommands.ts").then((module) => module.sessionCommand),
  send: () => import("./SendCommand.ts").then((module) => module.sendCommand),
  messages: () => import("./MessageCommands.ts").then((module) => module.messagesCommand),
  deliveries: () => import("./MessageCommands.ts").then((module) => module.deliveriesCommand),
  task: () => import("./TaskCommands.ts").then((module) => module.taskCommand),
  runs: () => import("./RunsCommand.ts").then((module) => module.runsCommand),
  next: () => import("./NextCommand.ts").then((module) => module.nextCommand),
  events: () => import("./EventsCommand.ts").then((module) => module.eventsCommand),
  logs: () => import("./LogsCommand.ts").then((module) => module.logsCommand),
  backup: () => import("./BackupCommand.ts").then((module) => module.backupCommand),
  simulate: () => import("./SimulateCommand.ts").then((module) => module.simulateCommand),
}

/**
 * The program, able to run what the words ask for: the first word that is a command, the value of `--data` excepted. `--completions`
 * and `--wizard` look at every command.
 */
export const programFor = async (words: ReadonlyArray<string>) => {
  const asked = words.find((word, at) => words[at - 1] !== "--data" && Object.hasOwn(says, word))
  const all = words.some((word) => /^--(completions|wizard)\b/.test(word))
  const commands = await Promise.all(
    Object.entries(commandTable).map(async ([name, load]) =>
      Command.withDescription(
        all || name === asked ? await load() : Command.make(name),
        says[name as keyof typeof says],
      ),
    ),
  )
  return Command.withSubcommands(root, commands).pipe(
    Command.provideEffect(Screen, ({ raw }) => (raw ? Effect.succeed("pipe" as const) : Screen)),
  )
}
