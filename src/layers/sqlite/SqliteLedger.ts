/**
 * The ledger in SQLite: WAL, and every commit durable before it is answered. This module opens the file and wires questions
 * (`LedgerReads.ts`), writes (`LedgerWrites.ts`) and commits (`LedgerCommit.ts`) into one driver.
 */
import Database from "better-sqlite3"
import { Effect, Layer, type Scope } from "effect"
import * as fs from "node:fs"
import { LedgerDriver, LedgerError } from "../../services/LedgerDriver.ts"
import { backupTo } from "./LedgerBackup.ts"
import { type Committer, makeCommitter } from "./LedgerCommit.ts"
import { anyFailure, storageFailure } from "./LedgerFailure.ts"
import { makeReads, type Prepare } from "./LedgerReads.ts"
import { migrate, requireCurrent } from "./LedgerSchema.ts"
import { makeWrites } from "./LedgerWrites.ts"

export interface SqliteLedgerOptions {
  /** A file whose folder exists, or `:memory:`. `read-write` makes it (mode 0600) when there is none. */
  readonly path: string
  /** `read-only` is for everyone but the daemon; it works while the daemon runs and when it does not. */
  readonly mode: "read-write" | "read-only"
  /** `group`: transactions of one turn of the event loop share a commit. `immediate`: each commits at once, synchronously. */
  readonly commit: "group" | "immediate"
  /** The size that the file may reach, in pages of 4 KiB; beyond, writes fail as on a full disk. Default: none. */
  readonly maxPages?: number
}

const MEMORY = ":memory:"
/** Nobody else writes, so only a program that should not be there can make us wait. */
const BUSY_TIMEOUT_MS = 2_000
const CACHE_KIB = 65_536
const STATEMENTS = 500

export const layer = (options: SqliteLedgerOptions): Layer.Layer<LedgerDriver, LedgerError> =>
  Layer.effect(LedgerDriver, make(options))

export const make = (
  options: SqliteLedgerOptions,
): Effect.Effect<LedgerDriver["Service"], LedgerError, Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* Effect.acquireRelease(
      Effect.try({
        try: () => open(options),
        catch: (cause) => anyFailure(`the ledger ${options.path} can't be opened`, cause),
      }),
      (opened) => Effect.sync(() => opened.close()),
    )
    const prepare = cachedPrepare(database)
    const reads = makeReads(prepare)
    const committer = yield* Effect.acquireRelease(
      Effect.sync(() =>
        options.mode === "read-only"
          ? readOnlyCommitter(options.path)
          : makeCommitter(database, prepare, makeWrites(prepare, reads), options.commit),
      ),
      (made) => Effect.sync(() => made.close()),
    )
    const begin = prepare("BEGIN")
    const commit = prepare("COMMIT")
    const pace = options.mode === "read-only" ? "at-once" : "stepwise"

    return LedgerDriver.of({
      transaction: committer.transaction,
      read: (f) =>
        Effect.suspend(() => {
          if (!database.open)
            return Effect.fail(new LedgerError({ reason: "Closed", message: "the ledger is closed" }))
          try {
            begin.run()
            try {
              return Effect.succeed(f(reads))
            } finally {
              commit.run()
            }
          } catch (cause) {
            const failure = storageFailure("the ledger could not be read", cause)
            return failure === undefined ? Effect.die(cause) : Effect.fail(failure)
          }
        }),
      backup: (target) =>
        Effect.tryPromise({
          try: () => backupTo(database, target, pace),
          catch: (cause) => anyFailure(`the backup ${target} could not be made`, cause),
        }).pipe(Effect.uninterruptible),
    })
  })

/** For simulations and tests: gone with its scope. */
export const layerMemory: Layer.Layer<LedgerDriver, LedgerError> = layer({
  path: MEMORY,
  mode: "read-write",
  commit: "immediate",
})

const open = (options: SqliteLedgerOptions): Database.Database => {
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

const cachedPrepare = (database: Database.Database): Prepare => {
  const statements = new Map<string, ReturnType<Prepare>>()
  return (sql) => {
    const cached = statements.get(sql)
    if (cached !== undefined) return cached
    // The texts are finite; the bound is for the day when one of them is not.
    if (statements.size >= STATEMENTS) statements.clear()
    const statement = database.prepare<Array<unknown>>(sql)
    statements.set(sql, statement)
    return statement
  }
}

const readOnlyCommitter = (path: string): Committer => ({
  transaction: () =>
    Effect.fail(
      new LedgerError({
        reason: "ReadOnly",
        message: `the ledger ${path} is open for reading: the daemon owns it and is the only one that writes; ask the daemon, and start it if it is not running`,
      }),
    ),
  close: () => undefined,
})
