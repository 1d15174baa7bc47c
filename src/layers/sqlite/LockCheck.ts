/** Whether the data directory's file system keeps two processes apart, tried out with a database of its own and cleaned up again. */
import Database from "better-sqlite3"
import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { check, type Check } from "../../domain/Check.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

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

/** `dataDir` has to be there. */
export const checkLocks = async (dataDir: string, nodePath: string): Promise<Check> => {
  const failure = (message: string) =>
    check("locks", "failure", message, "put the data directory on a local disk, not on a network share")
  const folder = await fs.mkdtemp(path.join(dataDir, ".lamplighter-doctor-"))
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
      if (said === "locked") return check("locks", "ok", "the file system honours locks between processes")
      return failure(
        said === "entered"
          ? `two processes had the same lock in ${dataDir}: two daemons could run on it, and the ledger could break`
          : `a lock in ${dataDir} could not be tried: ${said}`,
      )
    } finally {
      database.close()
    }
  } catch (error) {
    return failure(`a lock in ${dataDir} could not be taken: ${messageOf(error)}`)
  } finally {
    await fs.rm(folder, { recursive: true, force: true })
  }
}
