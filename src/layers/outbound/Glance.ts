/** A look at a container's files with lstat only: the daemon opens none of them. */
import * as fs from "node:fs"
import { MAX_EPOCH_MS } from "../../domain/Instant.ts"
import { type Glance, type GlanceProblem, Quarantined, Unreadable } from "../../services/Mailbox.ts"

/** A change younger than this may share its timestamp with one that comes after the look. */
const TIMESTAMP_GRAIN_MS = 50

let looks = 0

const stampOf = (stat: fs.BigIntStats, now: number): string => {
  const ageMs = now - Number(stat.ctimeNs / 1_000_000n)
  const fresh = Math.abs(ageMs) < TIMESTAMP_GRAIN_MS ? `?${++looks}` : ""
  return `${stat.ino}.${stat.size}.${stat.mtimeNs}.${stat.ctimeNs}${fresh}`
}

/**
 * How far the file system's clock is ahead of this process's. They differ where the files are on another machine, and where a clock is
 * faked: an age must be the difference of two times of one clock.
 */
export const fileClockAheadMs = (directory: string): number => {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  const probe = fs.mkdtempSync(`${directory}/read-`)
  const aheadMs = fs.lstatSync(probe).ctimeMs - Date.now()
  fs.rmdirSync(probe)
  return aheadMs
}

const LSTAT = { bigint: true, throwIfNoEntry: false } as const

/** What stands in the way of lstat: the container's doing, or trouble of the host that may pass. */
const glanceProblem = (error: unknown): GlanceProblem => {
  const code = error instanceof Error && "code" in error ? error.code : null
  return code === "ENOTDIR" || code === "ELOOP"
    ? new Quarantined({ reason: "the out directory is not a directory" })
    : new Unreadable({ message: `outbound.db can't be read now: ${String(error)}` })
}

/**
 * Two lstat calls. The change time is in the stamp because a container can't set it; one that is too young to be trusted makes the
 * stamp unique, so that the next look reads again. A commit changes the database before it ends its journal, so the journal tells
 * nothing more.
 */
export const glance = (outDir: string, fileClockMs: number): Glance | GlanceProblem => {
  try {
    const database = fs.lstatSync(`${outDir}/outbound.db`, LSTAT)
    if (database === undefined) return new Quarantined({ reason: "outbound.db is missing" })
    if (!database.isFile()) return new Quarantined({ reason: "outbound.db is not a regular file" })
    const heartbeat = fs.lstatSync(`${outDir}/.heartbeat`, LSTAT)
    const mtime = heartbeat?.isFile() === true ? Number(heartbeat.mtimeNs / 1_000_000n) : -1
    return {
      _tag: "Glance",
      stamp: stampOf(database, fileClockMs),
      heartbeatMtime: mtime >= 0 && mtime <= MAX_EPOCH_MS ? mtime : null,
    }
  } catch (error) {
    return glanceProblem(error)
  }
}
