/** Whether a daemon holds a data directory, asked from outside: a reader of its lock gets in only when nobody has it. */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import { storageFailure } from "./LedgerFailure.ts"

/**
 * `held`: a live process has the lock. Never to be asked by that process itself: closing the file would drop its lock. The look takes
 * a shared lock for an instant, so ask only where no daemon is expected to start at this very moment.
 */
export const probeDataDirectory = (dir: string): "held" | "free" => {
  const file = path.join(path.resolve(dir), "daemon.lock")
  if (!fs.existsSync(file)) return "free"
  const database = new Database(file, { readonly: true, timeout: 0 })
  try {
    database.prepare("SELECT count(*) FROM sqlite_schema").get()
    return "free"
  } catch (cause) {
    if (storageFailure("", cause)?.reason === "Busy") return "held"
    throw cause
  } finally {
    database.close()
  }
}
