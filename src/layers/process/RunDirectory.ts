/**
 * `<data>/run/<session>/<incarnation>/`: what one child process leaves on the host, private to the daemon's user. Its record,
 * `process.json`, is written before the spawn (without a process), after it, and when its exit was seen, each time by rename.
 */
import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs"
import { opendir, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Option, Schema } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import { EpochMs } from "../../domain/Instant.ts"
import { ContainerLabels } from "../../services/ContainerRuntime.ts"
import { ProcessIdentity } from "./ProcessIdentity.ts"
import { unless } from "./ProcessTable.ts"

export const ProcessRecord = Schema.Struct({
  labels: ContainerLabels,
  startedAt: Schema.NullOr(EpochMs),
  /** Null: the daemon died before it could write which process it became, if any. */
  identity: Schema.NullOr(ProcessIdentity),
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

const ABSENT = ["ENOENT", "ENOTDIR"]

type Key = Pick<ContainerLabels, "session" | "incarnation">

/** How one run is named in memory. */
export const runKey = ({ incarnation, session }: Key): string => `${session}/${incarnation}`

export type RunDirectory = ReturnType<typeof makeRunDirectory>

export const makeRunDirectory = (dataDir: string, install: InstallId) => {
  const root = join(dataDir, "run")
  const path = (key: Key): string => join(root, key.session, String(key.incarnation))

  const readIn = (directory: string): ProcessRecord | undefined => {
    const text = unless(ABSENT, () => readFileSync(join(directory, "process.json"), "utf8"))
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
    /** Makes the directory; throws `EEXIST` if this incarnation has one. */
    create: (labels: ContainerLabels): string => {
      const directory = path(labels)
      mkdirSync(dirname(directory), { recursive: true, mode: 0o700 })
      mkdirSync(directory, { mode: 0o700 })
      return directory
    },
    writeRecord: (record: ProcessRecord): void => {
      mkdirSync(path(record.labels), { recursive: true, mode: 0o700 })
      const file = join(path(record.labels), "process.json")
      writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 })
      renameSync(`${file}.new`, file)
    },
    /** Undefined: there is none that can be used. */
    readRecord: (key: Key): ProcessRecord | undefined => readIn(path(key)),
    /** The records of this install. One that can't be parsed says nothing and is left alone. */
    records: async (): Promise<ReadonlyArray<ProcessRecord>> => {
      const found: Array<ProcessRecord> = []
      for await (const session of entriesOf(root)) {
        for await (const incarnation of entriesOf(join(root, session))) {
          const record = readIn(join(root, session, incarnation))
          // A record counts only where it belongs.
          if (record === undefined || runKey(record.labels) !== `${session}/${incarnation}`) continue
          if (found.push(record) > MAX_RUNS) throw new Error(`more than ${MAX_RUNS} runs in ${root}`)
        }
      }
      return found
    },
    /** Repeating it is harmless. */
    remove: async (key: Key): Promise<void> => {
      await rm(path(key), { recursive: true, force: true })
      removeEmptyParent(key)
    },
    /** For a start that failed: nothing of it is left when this returns. */
    discard: (key: Key): void => {
      rmSync(path(key), { recursive: true, force: true })
      removeEmptyParent(key)
    },
  }
}

async function* entriesOf(directory: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(directory)) if (entry.isDirectory()) yield entry.name
  } catch (error) {
    if (!ABSENT.includes((error as NodeJS.ErrnoException).code ?? "")) throw error
  }
}
