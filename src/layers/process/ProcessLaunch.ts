/**
 * How an agent becomes a child process: what is checked before, its environment, its files, and what each way of failing means
 * to the caller. Nothing is left behind by a start that failed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, statSync } from "node:fs"
import { join } from "node:path"
import type { InstallId } from "../../domain/Ids.ts"
import type {
  ContainerExit,
  ContainerLabels,
  LaunchSpec,
  StartError,
} from "../../services/ContainerRuntime.ts"
import { environmentOf, messageOf, refusal } from "../runtime/Launching.ts"
import { openForChild } from "./CappedOutput.ts"
import { agentArguments } from "./ProcessIdentity.ts"
import { MARKER, markOf, type Post } from "./ProcessWatcher.ts"
import type { RunDirectory } from "./RunDirectory.ts"

export interface AgentProgram {
  readonly install: InstallId
  readonly runnerEntry: string
  readonly nodePath: string
}

interface Birthplace extends Pick<Post, "directory" | "table"> {
  readonly program: AgentProgram
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | undefined)?.code ?? ""

/** What a lack of resources refuses may work later; anything else needs somebody to change something. */
export const startError = (error: unknown, what: string): StartError =>
  refusal(
    ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EIO"].includes(codeOf(error))
      ? "RuntimeDown"
      : "Configuration",
    `${what}: ${messageOf(error)}`,
  )

/** Throws a `StartError` that names what is missing: the platform's own error would name the program only. */
export const checkLaunch = ({ runnerEntry }: AgentProgram, { groupDir }: LaunchSpec): void => {
  if (statSync(groupDir, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw refusal("Configuration", `the group's folder is not a directory: ${groupDir}`)
  if (statSync(runnerEntry, { throwIfNoEntry: false })?.isFile() !== true)
    throw refusal("Configuration", `the agent runner is not a file: ${runnerEntry}`)
}

const variablesOf = (spec: LaunchSpec): NodeJS.ProcessEnv => {
  const { HOME, LANG, PATH } = process.env
  return {
    PATH,
    HOME,
    LANG,
    ...environmentOf(spec),
    SESSION_INBOUND_DB_PATH: join(spec.inDir, "inbound.db"),
    SESSION_OUTBOUND_DB_PATH: join(spec.outDir, "outbound.db"),
    SESSION_HEARTBEAT_PATH: join(spec.outDir, ".heartbeat"),
    LAMPLIGHTER_CONTAINER_JSON: spec.containerJson,
    LAMPLIGHTER_WORKDIR: spec.groupDir,
    [MARKER]: markOf(spec.labels),
  }
}

/**
 * Makes the run's directory and spawns. A child without a process id was not born; then, and when this throws, nothing is
 * left on the host.
 */
const spawnAgent = (
  { directory, program }: Birthplace,
  spec: LaunchSpec,
  startedAt: number,
): ChildProcess => {
  const { labels } = spec
  const path = makeDirectory(directory, labels)
  const descriptors: Array<number> = []
  let born = false
  try {
    directory.writeRecord({ labels, startedAt, identity: null, exit: null })
    descriptors.push(openForChild(path, "stdout"), openForChild(path, "stderr"))
    const child = spawn(program.nodePath, [program.runnerEntry, ...agentArguments(labels)], {
      cwd: spec.groupDir,
      env: variablesOf(spec),
      detached: true,
      stdio: ["ignore", ...descriptors],
    })
    born = child.pid !== undefined
    return child
  } catch (error) {
    throw startError(error, `the agent of session ${labels.session} can't be started`)
  } finally {
    for (const descriptor of descriptors) closeSync(descriptor)
    if (!born) directory.discard(labels)
  }
}

const makeDirectory = (directory: RunDirectory, labels: ContainerLabels): string => {
  try {
    return directory.create(labels)
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw startError(error, "the run's directory can't be made")
    const { incarnation, session } = labels
    throw refusal("NameTaken", `incarnation ${incarnation} of session ${session} was started before`)
  }
}

/** The platform tells why only by an event in a later turn. */
const whyNotBorn = (child: ChildProcess, nodePath: string): Promise<StartError> =>
  new Promise((resolve) =>
    child.once("error", (error) => resolve(startError(error, `${nodePath} can't be started`))),
  )

/** A child that was born: who it is, and a way to be told its exit. Rejects with a `StartError`; then nothing is left. */
export const bearAgent = async (place: Birthplace, spec: LaunchSpec, startedAt: number) => {
  const { program, table } = place
  const child = spawnAgent(place, spec, startedAt)
  const { pid } = child
  if (pid === undefined) throw await whyNotBorn(child, program.nodePath)
  const ended = new Promise<ContainerExit>((resolve) =>
    child.once("exit", (exitCode, signal) => resolve({ exitCode, signal, oomKilled: false, at: Date.now() })),
  )
  child.on("error", () => {})
  child.unref()
  // Not reaped before this turn ends, so that it is found even if it died at once.
  const entry = await table.find(pid)
  return {
    identity: { bootId: table.bootId, pid, startTime: entry?.startTime ?? "" },
    ended: (tell: (exit: ContainerExit) => void): void => void ended.then(tell),
  }
}
