/**
 * The workspace on the local file system. Files that a container can read are written beside their place and renamed into it, and
 * only when they differ, so that no reader ever sees half of one.
 */
import { Effect, Layer } from "effect"
import { randomUUID } from "node:crypto"
import { constants, existsSync, lstatSync, writeFileSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { Mailbox, type Pair } from "../../services/Mailbox.ts"
import { type AgentStateOptions, prepareAgentState } from "./AgentState.ts"
import { tmpDir } from "./DataDirectory.ts"
import { Workspace, WorkspaceError } from "../../services/Workspace.ts"

export interface LocalWorkspaceOptions {
  readonly dataDir: string
  /** Exit logs kept per session. */
  readonly exitLogRetention: { readonly count: number; readonly ageMs: number }
  readonly maxLogBytes: number
  /** For runtimes that mount: agents' state and shared skills. Not said: neither. */
  readonly agentState?: Omit<AgentStateOptions, "dataDir"> | undefined
  /** `discard` if not said. */
  readonly zeroExitLogs?: Workspace["Service"]["zeroExitLogs"] | undefined
}

/** Of a file that the host composed. */
const MAX_OWN_BYTES = 4 * 1024 * 1024

const attempt = <A>(what: string, f: () => Promise<A>): Effect.Effect<A, WorkspaceError> =>
  Effect.tryPromise({
    try: f,
    catch: (error) => new WorkspaceError({ message: `${what}: ${String(error)}` }),
  })

/** A text that the host wrote before; anything else that stands at the place is not read, and is replaced. */
const readOwn = async (file: string): Promise<string | null> => {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants
  const handle = await fs.open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => null)
  if (handle === null) return null
  try {
    const stat = await handle.stat()
    return stat.isFile() && stat.size <= MAX_OWN_BYTES ? await handle.readFile("utf8") : null
  } finally {
    await handle.close()
  }
}

/**
 * The group's folder is its agents' to write in: they may put a link or a FIFO where the host's file stands, or where they guess its
 * temporary one. So the text is written in a folder of the host's own, and moved.
 */
const replaceIfChanged = async (temporaryDir: string, file: string, text: string): Promise<void> => {
  if ((await readOwn(file)) === text) return
  await fs.mkdir(temporaryDir, { recursive: true, mode: 0o700 })
  const temporary = path.join(temporaryDir, `write-${randomUUID()}`)
  try {
    await fs.writeFile(temporary, text, { mode: 0o644, flag: "wx" })
    await fs.rename(temporary, file)
  } catch (error) {
    await fs.rm(temporary, { force: true })
    throw error
  }
}

/** Writes a file that does not exist yet with one file operation. An existing file is compared and replaced. */
const writeFresh = async (temporaryDir: string, file: string, text: string): Promise<void> => {
  try {
    writeFileSync(file, text, { mode: 0o644, flag: "wx" })
  } catch {
    await replaceIfChanged(temporaryDir, file, text)
  }
}

/** A change younger than this may share its timestamps with one that comes after the look. */
const TIMESTAMP_GRAIN_MS = 50

/**
 * Remembers which container.json files were up to date. A file that lstat shows unchanged is not opened again.
 */
const makeSeen = () => {
  const seen = new Map<string, string>()
  const stampOf = (file: string, text: string): string | null => {
    const stat = lstatSync(file, { throwIfNoEntry: false })
    if (stat === undefined || Math.abs(Date.now() - stat.ctimeMs) < TIMESTAMP_GRAIN_MS) return null
    return `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs} ${text}`
  }
  return {
    isAsBefore: (file: string, text: string) => {
      const before = seen.get(file)
      return before !== undefined && before === stampOf(file, text)
    },
    remember: (file: string, text: string) => {
      const stamp = stampOf(file, text)
      if (stamp !== null) seen.set(file, stamp)
    },
  }
}

const prune = async (
  directory: string,
  retention: LocalWorkspaceOptions["exitLogRetention"],
  now: number,
): Promise<void> => {
  const names = (await fs.readdir(directory)).filter((name) => name.endsWith(".log")).sort()
  const tooMany = new Set(names.slice(0, Math.max(0, names.length - retention.count)))
  for (const name of names) {
    const file = path.join(directory, name)
    const { mtimeMs } = await fs.lstat(file)
    if (tooMany.has(name) || now - mtimeMs > retention.ageMs) await fs.rm(file, { force: true })
  }
}

/** The last bytes: how it ended tells more than how it began. */
const tail = (text: string, bytes: number): string => {
  const whole = Buffer.from(text)
  return whole.length <= bytes
    ? text
    : `[${whole.length - bytes} bytes before this are left out]\n${whole.subarray(-bytes).toString()}`
}

export const layer = (options: LocalWorkspaceOptions): Layer.Layer<Workspace, never, Mailbox> =>
  Layer.effect(
    Workspace,
    Effect.gen(function* () {
      const mailbox = yield* Mailbox
      const temporaryDir = tmpDir(options.dataDir)
      const seen = makeSeen()
      return Workspace.of({
        zeroExitLogs: options.zeroExitLogs ?? "discard",
        prepareGroup: (group, json) =>
          attempt(`the folders of group ${group.id}`, async () => {
            const groupDir = path.join(options.dataDir, "groups", group.id)
            const globalDir = path.join(options.dataDir, "groups", "global")
            const containerJson = path.join(groupDir, "container.json")
            const text = `${JSON.stringify(json, null, 2)}\n`
            if (!existsSync(globalDir) || !seen.isAsBefore(containerJson, text)) {
              await fs.mkdir(groupDir, { recursive: true, mode: 0o755 })
              await fs.mkdir(globalDir, { recursive: true, mode: 0o755 })
              await replaceIfChanged(temporaryDir, containerJson, text)
              seen.remember(containerJson, text)
            }
            const paths = { groupDir, globalDir, containerJson }
            if (options.agentState === undefined) return paths
            const { agentState, dataDir } = options
            return {
              ...paths,
              ...(await prepareAgentState({ dataDir, ...agentState }, group.id, json.skills)),
            }
          }),
        writeSessionLists: (pair: Pair, lists) =>
          attempt(`the lists of session ${pair.sessionId}`, async () => {
            const { inDir } = mailbox.paths(pair)
            const write = (name: string, list: ReadonlyArray<unknown>) =>
              writeFresh(temporaryDir, path.join(inDir, name), JSON.stringify(list))
            await write("current_tasks.json", lists.tasks)
            await write("available_groups.json", lists.groups)
          }),
        writeExitLog: (log) =>
          attempt(`the exit log of session ${log.sessionId}`, async () => {
            const directory = path.join(options.dataDir, "logs", log.sessionId)
            await fs.mkdir(directory, { recursive: true, mode: 0o700 })
            const text = [
              ...log.header.map(([name, value]) => `${name}: ${value}`),
              "--- output",
              tail(log.text, options.maxLogBytes),
              "",
            ].join("\n")
            const stamp = new Date(log.at).toISOString().replaceAll(":", "-")
            const file = path.join(directory, `${stamp}-${log.incarnation}.log`)
            await fs.writeFile(file, text, { mode: 0o600 })
            await prune(directory, options.exitLogRetention, log.at)
            return file
          }),
      })
    }),
  )
