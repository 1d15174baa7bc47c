/** The program's commands, assembled; each file beside this one holds one family of them. */
import { Command } from "effect/cli"
import { backupCommand, downCommand, statusCommand, upCommand } from "./DaemonCommands.ts"
import { eventsCommand } from "./EventsCommand.ts"
import { groupCommand } from "./GroupCommands.ts"
import { initCommand } from "./InitCommand.ts"
import { logsCommand } from "./LogsCommand.ts"
import { deliveriesCommand, messagesCommand } from "./MessageCommands.ts"
import { root } from "./Root.ts"
import { sendCommand } from "./SendCommand.ts"
import { sessionCommand } from "./SessionCommands.ts"
import { nextCommand, runsCommand, taskCommand } from "./TaskCommands.ts"

export const cli = root.pipe(
  Command.withSubcommands([
    initCommand,
    upCommand,
    downCommand,
    statusCommand,
    groupCommand,
    sessionCommand,
    sendCommand,
    messagesCommand,
    deliveriesCommand,
    taskCommand,
    runsCommand,
    nextCommand,
    eventsCommand,
    logsCommand,
    backupCommand,
  ]),
)
