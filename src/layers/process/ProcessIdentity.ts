/**
 * Which process is meant: boot, process id and start time. A process id alone is reused; the three together never are, so
 * nothing is signalled before all three were compared. And whose it is: the runner's command line carries the labels, so that a
 * process can be recognised from the process table alone, even if the daemon died between its birth and its record.
 */
import { Schema } from "effect"
import type { ContainerLabels } from "../../services/ContainerRuntime.ts"
import { labelsAsText, labelsOfText } from "../runtime/Launching.ts"
import type { ProcessEntry } from "./ProcessTable.ts"

export const ProcessIdentity = Schema.Struct({
  bootId: Schema.String,
  pid: Schema.Int,
  /** In the process table's own unit, only ever compared for equality; empty when it was gone before it could be read. */
  startTime: Schema.String,
})
export type ProcessIdentity = typeof ProcessIdentity.Type

/** The handle of a `ContainerRef`. */
export const formatHandle = (identity: ProcessIdentity): string =>
  `${identity.bootId}/${identity.pid}/${identity.startTime}`

export const parseHandle = (handle: string): ProcessIdentity | undefined => {
  const match = /^([^/]{1,128})\/([0-9]{1,10})\/([^/]{0,64})$/.exec(handle)
  if (match === null) return undefined
  const pid = Number(match[2])
  // 0, 1 and negative numbers address groups or init: never ours.
  return pid > 1 ? { bootId: match[1] ?? "", pid, startTime: match[3] ?? "" } : undefined
}

/** Whether `entry`, found under the same process id at the boot `bootId`, is that very process and still runs. */
export const isAlive = (
  identity: ProcessIdentity,
  bootId: string,
  entry: ProcessEntry | undefined,
): entry is ProcessEntry =>
  entry !== undefined &&
  identity.bootId === bootId &&
  identity.startTime === entry.startTime &&
  entry.pid === identity.pid &&
  entry.state === "running"

const flag = (name: string): string => `--${name}`

/** `--install X --group G --session S --incarnation N`, in this order. */
export const agentArguments = (labels: ContainerLabels): ReadonlyArray<string> =>
  labelsAsText(labels, flag).flat()

/** The labels in somebody's command line, or `undefined` when it is not exactly of ours. */
export const labelsOf = (argv: ReadonlyArray<string>): ContainerLabels | undefined => {
  const at = argv.indexOf(flag("install"))
  return at < 1
    ? undefined
    : labelsOfText((name, index) =>
        argv[at + 2 * index] === flag(name) ? argv[at + 2 * index + 1] : undefined,
      )
}
