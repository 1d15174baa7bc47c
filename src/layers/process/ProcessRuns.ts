/**
 * The runs of one install as this daemon knows them: those that it started, and those that an earlier one left, found by their
 * records and their command lines.
 */
import { Effect } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import {
  type ContainerLabels,
  type ContainerRef,
  RuntimeUnavailable,
} from "../../services/ContainerRuntime.ts"
import { labelsOf } from "./AgentArguments.ts"
import { parseHandle, type ProcessIdentity } from "./ProcessIdentity.ts"
import type { ProcessTable } from "./ProcessTable.ts"
import { aliveIn, makeRun, type ProcessWatcher, type Run, UNKNOWN_EXIT } from "./ProcessWatcher.ts"
import { type ProcessRecord, type RunDirectory, runKey } from "./RunDirectory.ts"

export interface ProcessRuns {
  readonly all: () => ReadonlyArray<Run>
  readonly find: (labels: ContainerLabels) => Run | undefined
  readonly add: (run: Run) => Run
  readonly forget: (labels: ContainerLabels) => void
  /** In memory, or of its record, or whatever its handle says. */
  readonly recall: (ref: ContainerRef) => Run
  /** Brings what is in memory up to what the host shows. */
  readonly refresh: Effect.Effect<void, RuntimeUnavailable>
}

interface Found {
  readonly labels: ContainerLabels
  readonly identity: ProcessIdentity
}

const unavailable = (error: unknown) => new RuntimeUnavailable({ message: String(error) })

/** Processes of this install by their command lines, one per run: the group's leader, the oldest if a fork looks like it. */
const scan = async (table: ProcessTable, install: InstallId): Promise<ReadonlyMap<string, Found>> => {
  const found = new Map<string, Found>()
  for (const { argv, group, pid, startTime, state } of await table.commandLines()) {
    if (state === "ended" || pid !== group) continue
    const labels = labelsOf(argv)
    if (labels?.install !== install) continue
    const key = runKey(labels.session, labels.incarnation)
    const other = found.get(key)
    if (other !== undefined && Number(other.identity.startTime) <= Number(startTime)) continue
    found.set(key, { labels, identity: { bootId: table.bootId, pid, startTime } })
  }
  return found
}

const recordedRun = (record: ProcessRecord, identity: ProcessIdentity | null): Run => {
  const run = makeRun(record.labels, identity, record.startedAt, "foreign")
  if (record.exit !== null) {
    run.exit = { oomKilled: false, ...record.exit }
    run.state = "exited"
  }
  return run
}

export const makeProcessRuns = (
  table: ProcessTable,
  directory: RunDirectory,
  install: InstallId,
  watcher: ProcessWatcher,
): ProcessRuns => {
  const runs = new Map<string, Run>()
  const keyOf = ({ incarnation, session }: ContainerLabels): string => runKey(session, incarnation)
  const find = (labels: ContainerLabels): Run | undefined => runs.get(keyOf(labels))
  const add = (run: Run): Run => {
    runs.set(keyOf(run.ref.labels), run)
    return run
  }
  const isAlive = (run: Run) => (run.identity === null ? Effect.succeed(false) : aliveIn(table, run.identity))

  return {
    all: () => [...runs.values()],
    find,
    add,
    forget: (labels) => void runs.delete(keyOf(labels)),
    recall: (ref) => {
      const known = find(ref.labels)
      if (known !== undefined) return known
      const identity = parseHandle(ref.handle) ?? null
      const record = directory.readRecord(ref.labels)
      return add(
        record === undefined
          ? makeRun(ref.labels, identity, null, "foreign")
          : recordedRun(record, record.identity ?? identity),
      )
    },
    refresh: Effect.gen(function* () {
      const processes = yield* Effect.tryPromise({ try: () => scan(table, install), catch: unavailable })
      const records = yield* Effect.tryPromise({ try: directory.records, catch: unavailable })
      for (const record of records) {
        if (find(record.labels) !== undefined) continue
        add(recordedRun(record, record.identity ?? processes.get(keyOf(record.labels))?.identity ?? null))
      }
      for (const { identity, labels } of processes.values()) {
        // One that ended and was removed since the scan must not come back.
        if (find(labels) !== undefined || !(yield* aliveIn(table, identity))) continue
        if (find(labels) === undefined) add(makeRun(labels, identity, null, "foreign"))
      }
      for (const run of runs.values()) {
        if (run.state !== "unwatched" || (yield* isAlive(run))) continue
        // Somebody may have adopted it meanwhile.
        if (isUnwatched(run)) yield* watcher.end(run, UNKNOWN_EXIT)
      }
    }),
  }
}

const isUnwatched = (run: Run): boolean => run.state === "unwatched"
