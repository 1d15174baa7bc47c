/** The ledger's file: how it is made, opened and set up, for the one who writes and for those who only read. */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import { LedgerError } from "../../services/LedgerDriver.ts"
import { migrate, requireCurrent } from "./LedgerSchema.ts"

export interface LedgerFileOptions {
  /** A file whose folder exists, or `:memory:`. `read-write` makes it (mode 0600) when there is none. */
  readonly path: string
  /** `read-only` is for everyone but the daemon; it works while the daemon runs and when it does not. */
  readonly mode: "read-write" | "read-only"
  /** The size that the file may reach, in pages of 4 KiB; beyond, writes fail as on a full disk. Default: none. */
  readonly maxPages?: number
}

const MEMORY = ":memory:"
/** Nobody else writes, so only a program that should not be there can make us wait. */
const BUSY_TIMEOUT_MS = 2_000
/** As SQLite tells it. */
const SYNCHRONOUS_FULL = 2
const CACHE_KIB = 65_536

/** Throws what SQLite and node:fs throw, or `LedgerError` where the file is not what it should be. */
export const openLedgerFile = (options: LedgerFileOptions): Database.Database => {
  const { path } = options
  const readonly = options.mode === "read-only"
  if (readonly && !fs.existsSync(path)) {
    throw new LedgerError({
      reason: "Io",
      message: `there is no ledger at ${path}; start the daemon once, it makes it`,
    })
  }
  if (!readonly && path !== MEMORY) makePrivate(path)
  const database = new Database(path, { readonly, timeout: BUSY_TIMEOUT_MS })
  try {
    database.pragma("foreign_keys = OFF")
    database.pragma("trusted_schema = OFF")
    // Each savepoint keeps the pages that it changes; in a file, that costs more than the commit.
    database.pragma("temp_store = MEMORY")
    database.pragma(`cache_size = -${CACHE_KIB}`)
    if (readonly) {
      requireCurrent(database)
      return database
    }
    const journal = database.pragma("journal_mode = WAL", { simple: true })
    if (path !== MEMORY && journal !== "wal") {
      throw new LedgerError({
        reason: "Io",
        message: `the file system under ${path} has no shared memory, which write-ahead logging needs; use a local disk`,
      })
    }
    database.pragma("synchronous = FULL")
    if (database.pragma("synchronous", { simple: true }) !== SYNCHRONOUS_FULL) {
      throw new LedgerError({
        reason: "Io",
        message: `SQLite does not wait for the disk under ${path}, so nothing would be durable; use the build of SQLite that the package brings`,
      })
    }
    migrate(database)
    if (options.maxPages !== undefined) database.pragma(`max_page_count = ${options.maxPages}`)
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

/** SQLite gives its side files the mode of the file itself. An existing one is not opened here: closing it would drop its locks. */
const makePrivate = (path: string): void => {
  if (fs.existsSync(path)) fs.chmodSync(path, 0o600)
  else fs.closeSync(fs.openSync(path, "wx", 0o600))
}
