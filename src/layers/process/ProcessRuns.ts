/**
 * The runs of one install as this daemon knows them: those that it started, and those that an earlier one left, found by their
 * records and their command lines.
 */
import { Effect } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import { type ContainerLabels, type ContainerRef, UNSEEN_EXIT } from "../../services/ContainerRuntime.ts"
import { labelsOf, parseHandle, type ProcessIdentity } from "./ProcessIdentity.ts"
import type { ProcessTable } from "./ProcessTable.ts"
import { aliveIn, attempt, makeRun, type ProcessWatcher, type Run } from "./ProcessWatcher.ts"
import { type ProcessRecord, type RunDirectory, runKey } from "./RunDirectory.ts"

interface Found {
  readonly labels: ContainerLabels
  readonly identity: ProcessIdentity
}

/** Processes of this install by their command lines, one per run: the group's leader, the oldest if a fork looks like it. */
const scan = async (table: ProcessTable, install: InstallId): Promise<ReadonlyMap<string, Found>> => {
  const found = new Map<string, Found>()
  for (const { argv, group, pid, startTime, state } of await table.commandLines()) {
    if (state === "ended" || pid !== group) continue
    const labels = labelsOf(argv)
    if (labels?.install !== install) continue
    const key = runKey(labels)
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

export type ProcessRuns = ReturnType<typeof makeProcessRuns>

export const makeProcessRuns = (
  table: ProcessTable,
  directory: RunDirectory,
  install: InstallId,
  watcher: ProcessWatcher,
) => {
  const runs = new Map<string, Run>()
  const find = (labels: ContainerLabels): Run | undefined => runs.get(runKey(labels))
  const add = (run: Run): Run => {
    runs.set(runKey(run.ref.labels), run)
    return run
  }

  return {
    all: (): ReadonlyArray<Run> => [...runs.values()],
    find,
    add,
    forget: (labels: ContainerLabels): void => void runs.delete(runKey(labels)),
    /** In memory, or of its record, or whatever its handle says. */
    recall: (ref: ContainerRef): Run => {
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
    /** Brings what is in memory up to what the host shows. */
    refresh: Effect.gen(function* () {
      const processes = yield* attempt(() => scan(table, install))
      const records = yield* attempt(directory.records)
      for (const record of records) {
        if (find(record.labels) !== undefined) continue
        add(recordedRun(record, record.identity ?? processes.get(runKey(record.labels))?.identity ?? null))
      }
      for (const { identity, labels } of processes.values()) {
        // One that ended and was removed since the scan must not come back.
        if (find(labels) !== undefined || !(yield* aliveIn(table, identity))) continue
        if (find(labels) === undefined) add(makeRun(labels, identity, null, "foreign"))
      }
      for (const run of runs.values()) {
        if (run.state !== "unwatched" || (yield* aliveIn(table, run.identity))) continue
        // Somebody may have adopted it meanwhile.
        if (isUnwatched(run)) yield* watcher.end(run, UNSEEN_EXIT)
      }
    }),
  }
}

const isUnwatched = (run: Run): boolean => run.state === "unwatched"
