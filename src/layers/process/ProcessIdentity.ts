/**
 * Which process is meant: boot, process id and start time. A process id alone is reused; the three together never are, so
 * nothing is signalled before all three were compared.
 */
import type { ProcessEntry } from "./ProcessTable.ts"

export interface ProcessIdentity {
  readonly bootId: string
  readonly pid: number
  /** In the process table's own unit, only ever compared for equality; empty when it was gone before it could be read. */
  readonly startTime: string
}

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
