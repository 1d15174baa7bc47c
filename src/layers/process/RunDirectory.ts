/**
 * `<data>/run/<session>/<incarnation>/`: what one child process leaves on the host, private to the daemon's user. Its record,
 * `process.json`, is written before the spawn (without a process), after it, and when its exit was seen, each time by rename.
 */
import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs"
import { opendir, readFile, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Option, Schema } from "effect"
import type { IncarnationNumber, InstallId, SessionId } from "../../domain/Ids.ts"
import { EpochMs } from "../../domain/Instant.ts"
import { ContainerLabels } from "../../services/ContainerRuntime.ts"

export const ProcessRecord = Schema.Struct({
  labels: ContainerLabels,
  startedAt: Schema.NullOr(EpochMs),
  /** Null: the daemon died before it could write which process it became, if any. */
  identity: Schema.NullOr(
    Schema.Struct({ bootId: Schema.String, pid: Schema.Int, startTime: Schema.String }),
  ),
  /** Null: nobody has seen it end. */
  exit: Schema.NullOr(
    Schema.Struct({
      exitCode: Schema.NullOr(Schema.Int),
      signal: Schema.NullOr(Schema.String),
      oomKilled: Schema.optionalKey(Schema.Boolean),
      at: Schema.NullOr(EpochMs),
    }),
  ),
})
export type ProcessRecord = typeof ProcessRecord.Type

const decodeRecord = Schema.decodeUnknownOption(Schema.fromJsonString(ProcessRecord))

/** More runs than are ever kept: each is removed when its end is recorded in the ledger. */
const MAX_RUNS = 100_000

type Key = Pick<ContainerLabels, "session" | "incarnation">

export interface RunDirectory {
  readonly path: (key: Key) => string
  /** Makes the directory; throws `EEXIST` if this incarnation has one. */
  readonly create: (labels: ContainerLabels) => string
  readonly writeRecord: (record: ProcessRecord) => void
  /** Undefined: there is none that can be used. */
  readonly readRecord: (key: Key) => ProcessRecord | undefined
  /** The records of this install. One that can't be parsed says nothing and is left alone. */
  readonly records: () => Promise<ReadonlyArray<ProcessRecord>>
  /** Repeating it is harmless. */
  readonly remove: (key: Key) => Promise<void>
  /** For a start that failed: nothing of it is left when this returns. */
  readonly discard: (key: Key) => void
}

export const makeRunDirectory = (dataDir: string, install: InstallId): RunDirectory => {
  const root = join(dataDir, "run")
  const path = (key: Key): string => join(root, key.session, String(key.incarnation))

  const accept = (text: string): ProcessRecord | undefined => {
    const record = Option.getOrUndefined(decodeRecord(text))
    return record?.labels.install === install ? record : undefined
  }

  const removeEmptyParent = (key: Key): void => {
    try {
      rmdirSync(dirname(path(key)))
    } catch {
      // Not empty, or gone: both are as they should be.
    }
  }

  return {
    path,
    create: (labels) => {
      const directory = path(labels)
      mkdirSync(dirname(directory), { recursive: true, mode: 0o700 })
      mkdirSync(directory, { mode: 0o700 })
      return directory
    },
    writeRecord: (record) => {
      mkdirSync(path(record.labels), { recursive: true, mode: 0o700 })
      const file = join(path(record.labels), "process.json")
      writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 })
      renameSync(`${file}.new`, file)
    },
    readRecord: (key) => {
      try {
        return accept(readFileSync(join(path(key), "process.json"), "utf8"))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
        throw error
      }
    },
    records: async () => {
      const found: Array<ProcessRecord> = []
      for await (const session of entriesOf(root)) {
        for await (const incarnation of entriesOf(join(root, session))) {
          const text = await readIfThere(join(root, session, incarnation, "process.json"))
          const record = text === undefined ? undefined : accept(text)
          if (record === undefined) continue
          // A record counts only where it belongs.
          if (record.labels.session !== session || String(record.labels.incarnation) !== incarnation) continue
          if (found.push(record) > MAX_RUNS) throw new Error(`more than ${MAX_RUNS} runs in ${root}`)
        }
      }
      return found
    },
    remove: async (key) => {
      await rm(path(key), { recursive: true, force: true })
      removeEmptyParent(key)
    },
    discard: (key) => {
      rmSync(path(key), { recursive: true, force: true })
      removeEmptyParent(key)
    },
  }
}

const isAbsent = (error: unknown): boolean =>
  ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")

const readIfThere = async (file: string): Promise<string | undefined> => {
  try {
    return await readFile(file, "utf8")
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

async function* entriesOf(directory: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(directory)) if (entry.isDirectory()) yield entry.name
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

/** How one run is named in memory. */
export const runKey = (session: SessionId, incarnation: IncarnationNumber): string =>
  `${session}/${incarnation}`
