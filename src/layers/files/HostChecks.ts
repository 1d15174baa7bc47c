/** What the data directory's file system can do, tried out and cleaned up again. */
import Database from "better-sqlite3"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Check } from "../../domain/Check.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The folder itself, or the nearest one above it that is there: where it would be made. */
const nearest = async (directory: string): Promise<string> => {
  const stat = await fs.stat(directory).catch(() => null)
  return stat !== null || directory === path.dirname(directory) ? directory : nearest(path.dirname(directory))
}

export const checkDataDirectory = async (dataDir: string): Promise<Check> => {
  const name = "data directory"
  const place = await nearest(dataDir)
  try {
    const probe = path.join(place, `.lamplighter-doctor-${randomUUID()}`)
    await fs.writeFile(probe, "", { flag: "wx", mode: 0o600 })
    await fs.rm(probe)
  } catch (error) {
    return {
      name,
      level: "failure",
      message: `${dataDir} can't be written to: ${messageOf(error)}`,
      remedy: `make it writable for this user (uid ${process.getuid?.() ?? "?"}), or choose another with --data or LAMPLIGHTER_DATA`,
    }
  }
  return place === dataDir
    ? { name, level: "ok", message: `${dataDir} is writable`, remedy: null }
    : {
        name,
        level: "warning",
        message: `${dataDir} is not there yet; it can be made`,
        remedy: "lamplighter init makes it, and so does up",
      }
}

/** Says whether it got in while this process holds the lock. A process of its own, because a process never locks itself out. */
const INTRUDER = `
const { DatabaseSync } = require("node:sqlite")
const database = new DatabaseSync(process.argv[1])
try {
  database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE")
  console.log("entered")
} catch (error) {
  console.log(/locked/.test(error.message) ? "locked" : error.message)
}
`
const INTRUDER_MS = 20_000

export const checkLocks = async (dataDir: string, nodePath: string): Promise<Check> => {
  const name = "locks"
  const folder = await fs.mkdtemp(path.join(await nearest(dataDir), ".lamplighter-doctor-"))
  try {
    const file = path.join(folder, "lock.db")
    const database = new Database(file, { timeout: 0 })
    try {
      database.exec("BEGIN EXCLUSIVE")
      const said = await new Promise<string>((resolve) =>
        execFile(
          nodePath,
          ["--no-warnings", "-e", INTRUDER, file],
          { timeout: INTRUDER_MS },
          (error, stdout, stderr) =>
            resolve(stdout.trim() || stderr.trim().split("\n")[0] || error?.message || "nothing"),
        ),
      )
      if (said === "locked")
        return { name, level: "ok", message: "the file system honours locks between processes", remedy: null }
      return {
        name,
        level: "failure",
        message:
          said === "entered"
            ? `two processes had the same lock in ${dataDir}: two daemons could run on it, and the ledger could break`
            : `a lock in ${dataDir} could not be tried: ${said}`,
        remedy: "put the data directory on a local disk, not on a network share",
      }
    } finally {
      database.close()
    }
  } catch (error) {
    return {
      name,
      level: "failure",
      message: `a lock in ${dataDir} could not be taken: ${messageOf(error)}`,
      remedy: "put the data directory on a local disk, not on a network share",
    }
  } finally {
    await fs.rm(folder, { recursive: true, force: true })
  }
}

const MIB = 1024 ** 2
const LITTLE_BYTES = 1024 * MIB
const NOTHING_BYTES = 100 * MIB

export const checkDisk = async (dataDir: string): Promise<Check> => {
  const { bavail, bsize } = await fs.statfs(await nearest(dataDir))
  const free = bavail * bsize
  const message = `${Math.floor(free / MIB)} MiB free where the data is`
  const level = free < NOTHING_BYTES ? "failure" : free < LITTLE_BYTES ? "warning" : "ok"
  return {
    name: "disk",
    level,
    message,
    remedy: level === "ok" ? null : "free some space: on a full disk nothing new is accepted",
  }
}
