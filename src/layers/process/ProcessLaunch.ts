/**
 * How an agent becomes a child process: what is checked before, its environment, its files, and what each way of failing means
 * to the caller. Nothing is left behind by a start that failed.
 */
import { Redacted } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, statSync } from "node:fs"
import { join } from "node:path"
import type { InstallId } from "../../domain/Ids.ts"
import { type ContainerExit, type LaunchSpec, StartError } from "../../services/ContainerRuntime.ts"
import { agentArguments } from "./AgentArguments.ts"
import { openForChild } from "./CappedOutput.ts"
import { markerOf } from "./ProcessWatcher.ts"
import type { ProcessTable } from "./ProcessTable.ts"
import type { RunDirectory } from "./RunDirectory.ts"

export interface AgentProgram {
  readonly install: InstallId
  readonly runnerEntry: string
  readonly nodePath: string
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | undefined)?.code ?? ""
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What a lack of resources refuses may work later; anything else needs somebody to change something. */
export const startError = (error: unknown, what: string): StartError =>
  new StartError({
    reason: ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EIO"].includes(codeOf(error))
      ? "RuntimeDown"
      : "Configuration",
    message: `${what}: ${messageOf(error)}`,
  })

const configuration = (message: string): StartError => new StartError({ reason: "Configuration", message })

/** Throws a `StartError` that names what is missing: the platform's own error would name the program only. */
export const checkLaunch = (program: AgentProgram, spec: LaunchSpec): void => {
  if (spec.labels.install !== program.install)
    throw configuration(`install ${spec.labels.install} is not this one's, ${program.install}`)
  if (statSync(spec.groupDir, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw configuration(`the group's folder is not a directory: ${spec.groupDir}`)
  if (statSync(program.runnerEntry, { throwIfNoEntry: false })?.isFile() !== true)
    throw configuration(`the agent runner is not a file: ${program.runnerEntry}`)
}

const environmentOf = (spec: LaunchSpec): Record<string, string> => {
  const base: Record<string, string> = {}
  for (const name of ["PATH", "HOME", "LANG"]) {
    const value = process.env[name]
    if (value !== undefined) base[name] = value
  }
  const [markerName, markerValue] = markerOf({ labels: spec.labels, handle: "" }).split("=") as [
    string,
    string,
  ]
  return {
    ...base,
    ...spec.env,
    ...Object.fromEntries(
      Object.entries(spec.secrets ?? {}).map(([name, secret]) => [name, Redacted.value(secret)]),
    ),
    SESSION_INBOUND_DB_PATH: join(spec.inDir, "inbound.db"),
    SESSION_OUTBOUND_DB_PATH: join(spec.outDir, "outbound.db"),
    SESSION_HEARTBEAT_PATH: join(spec.outDir, ".heartbeat"),
    LAMPLIGHTER_CONTAINER_JSON: spec.containerJson,
    LAMPLIGHTER_WORKDIR: spec.groupDir,
    [markerName]: markerValue,
  }
}

/**
 * Makes the run's directory and spawns. A child without a process id was not born; then, and when this throws, nothing is
 * left on the host.
 */
const spawnAgent = (
  program: AgentProgram,
  directory: RunDirectory,
  spec: LaunchSpec,
  startedAt: number,
): ChildProcess => {
  const { labels } = spec
  const path = makeDirectory(directory, spec)
  const descriptors: Array<number> = []
  let born = false
  try {
    directory.writeRecord({ labels, startedAt, identity: null, exit: null })
    descriptors.push(openForChild(path, "stdout"), openForChild(path, "stderr"))
    const child = spawn(program.nodePath, [program.runnerEntry, ...agentArguments(labels)], {
      cwd: spec.groupDir,
      env: environmentOf(spec),
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

const makeDirectory = (directory: RunDirectory, { labels }: LaunchSpec): string => {
  try {
    return directory.create(labels)
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw startError(error, "the run's directory can't be made")
    throw new StartError({
      reason: "NameTaken",
      message: `incarnation ${labels.incarnation} of session ${labels.session} was started before`,
    })
  }
}

/** The platform tells why only by an event in a later turn. */
const whyNotBorn = (child: ChildProcess, nodePath: string): Promise<StartError> =>
  new Promise((resolve) =>
    child.once("error", (error) => resolve(startError(error, `${nodePath} can't be started`))),
  )

/** A child that was born: who it is, and a way to be told its exit. Rejects with a `StartError`; then nothing is left. */
export const bearAgent = async (
  program: AgentProgram,
  table: ProcessTable,
  directory: RunDirectory,
  spec: LaunchSpec,
  startedAt: number,
) => {
  const child = spawnAgent(program, directory, spec, startedAt)
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
