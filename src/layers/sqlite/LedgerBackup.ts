/**
 * A consistent copy of a ledger in use. It is written beside its target and renamed at the end, so that whatever stands at the
 * target is a whole ledger in one file, or an empty file that says that a backup was cut short.
 */
import BetterSqlite, { type Database } from "better-sqlite3"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { LedgerError } from "../../services/LedgerDriver.ts"

const PRIVATE = 0o600
const ALL_PAGES = 2 ** 31 - 1
/** About a millisecond. */
const PAGES_PER_TURN = 100

/**
 * `stepwise`: a few pages per turn of the event loop; what this connection writes meanwhile is in the copy. `at-once`: all pages
 * in one step, for a reader beside a daemon that writes, where each of its commits would start the copy again.
 */
export const backupTo = async (
  database: Database,
  target: string,
  pace: "stepwise" | "at-once",
): Promise<void> => {
  const temporary = `${target}.partial`
  await reserve(target)
  try {
    await fs.rm(temporary, { force: true })
    await fs.writeFile(temporary, "", { flag: "wx", mode: PRIVATE })
    await database.backup(temporary, {
      progress: () => (pace === "at-once" ? ALL_PAGES : PAGES_PER_TURN),
    })
    standAlone(temporary)
    await sync(temporary)
    await fs.rename(temporary, target)
    await sync(path.dirname(target))
  } catch (cause) {
    await fs.rm(temporary, { force: true })
    await fs.rm(target, { force: true })
    throw cause
  }
}

/** The copy says of itself that it has a write-ahead log, as the original has: whoever opens it would leave two files beside it. */
const standAlone = (file: string): void => {
  const copy = new BetterSqlite(file, { fileMustExist: true })
  try {
    copy.pragma("journal_mode = DELETE")
  } finally {
    copy.close()
  }
}

const reserve = async (target: string): Promise<void> => {
  try {
    await fs.writeFile(target, "", { flag: "wx", mode: PRIVATE })
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") {
      throw new LedgerError({
        reason: "Io",
        message: `${target} exists, and a backup never overwrites; choose another path or remove it`,
      })
    }
    throw cause
  }
}

const sync = async (file: string): Promise<void> => {
  const handle = await fs.open(file, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Reads the whole copy as SQLite checks it. Fails with what is wrong; the copy stays for whoever looks into it. */
export const checkBackup = (file: string): Effect.Effect<void, LedgerError> =>
  Effect.try({
    try: () => {
      const database = new BetterSqlite(file, { readonly: true, fileMustExist: true })
      try {
        const verdict: unknown = database.pragma("integrity_check(1)", { simple: true })
        if (verdict !== "ok") throw new Error(String(verdict))
      } finally {
        database.close()
      }
    },
    catch: (cause) =>
      new LedgerError({
        reason: "Corrupt",
        message: `the backup ${file} is not sound (${cause instanceof Error ? cause.message : String(cause)}); check the disk and make another`,
      }),
  })
