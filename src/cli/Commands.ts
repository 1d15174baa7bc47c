/** The program's commands, assembled; each file beside this one holds one family of them. */
import { Command } from "effect/cli"
import { backupCommand } from "./BackupCommand.ts"
import { doctorCommand } from "./DoctorCommand.ts"
import { downCommand } from "./DownCommand.ts"
import { eventsCommand } from "./EventsCommand.ts"
import { groupCommand } from "./GroupCommands.ts"
import { imageCommand } from "./ImageCommands.ts"
import { initCommand } from "./InitCommand.ts"
import { logsCommand } from "./LogsCommand.ts"
import { deliveriesCommand, messagesCommand } from "./MessageCommands.ts"
import { root } from "./Root.ts"
import { sendCommand } from "./SendCommand.ts"
import { sessionCommand } from "./SessionCommands.ts"
import { simulateCommand } from "./SimulateCommand.ts"
import { statusCommand } from "./StatusCommand.ts"
import { nextCommand, runsCommand } from "./ScheduleCommands.ts"
import { taskCommand } from "./TaskCommands.ts"
import { upCommand } from "./UpCommand.ts"

export const cli = root.pipe(
  Command.withSubcommands([
    initCommand,
    upCommand,
    downCommand,
    statusCommand,
    doctorCommand,
    groupCommand,
    imageCommand,
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
    simulateCommand,
  ]),
)
