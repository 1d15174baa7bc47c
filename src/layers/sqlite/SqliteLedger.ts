/**
 * The ledger in SQLite, every commit durable before it is answered. This module only wires: the file (`LedgerFile.ts`),
 * questions (`LedgerReads.ts`), writes (`LedgerWrites.ts`) and commits (`LedgerCommit.ts`) become one driver.
 */
import type { Database } from "better-sqlite3"
import { Effect, Layer, type Scope } from "effect"
import { LedgerDriver, LedgerError } from "../../services/LedgerDriver.ts"
import { backupTo } from "./LedgerBackup.ts"
import { type Committer, makeCommitter } from "./LedgerCommit.ts"
import { anyFailure, storageFailure } from "./LedgerFailure.ts"
import { type LedgerFileOptions, openLedgerFile } from "./LedgerFile.ts"
import { makeReads } from "./LedgerReads.ts"
import type { Prepare } from "./LedgerTables.ts"
import { makeWrites } from "./LedgerWrites.ts"

export interface SqliteLedgerOptions extends LedgerFileOptions {
  /** `group`: transactions of one turn of the event loop share a commit. `immediate`: each commits at once, synchronously. */
  readonly commit: "group" | "immediate"
  /** A group that has run for so many ms is committed; what it has not begun waits for the next turn. */
  readonly maxTurnMs?: number
}

const STATEMENTS = 500
const CLOSED = new LedgerError({ reason: "Closed", message: "the ledger is closed" })

export const layer = (options: SqliteLedgerOptions): Layer.Layer<LedgerDriver, LedgerError> =>
  Layer.effect(LedgerDriver, make(options))

export const make = (
  options: SqliteLedgerOptions,
): Effect.Effect<LedgerDriver["Service"], LedgerError, Scope.Scope> =>
  Effect.gen(function* () {
    const database = yield* Effect.acquireRelease(
      Effect.try({
        try: () => openLedgerFile(options),
        catch: (cause) => anyFailure(`the ledger ${options.path} can't be opened`, cause),
      }),
      (opened) => Effect.sync(() => opened.close()),
    )
    const { prepare, reads, committer } = yield* Effect.acquireRelease(
      Effect.try({
        try: () => assemble(database, options),
        catch: (cause) => anyFailure(`the ledger ${options.path} can't be used`, cause),
      }),
      (assembled) => Effect.sync(() => assembled.committer.close()),
    )
    const begin = prepare("BEGIN")
    const commit = prepare("COMMIT")
    const pace = options.mode === "read-only" ? "at-once" : "stepwise"

    return LedgerDriver.of({
      transaction: committer.transaction,
      read: (f) =>
        Effect.suspend(() => {
          if (!database.open) return Effect.fail(CLOSED)
          try {
            begin.run()
            try {
              return Effect.succeed(f(reads))
            } finally {
              // A failed read may have ended the transaction already.
              if (database.inTransaction) commit.run()
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
  path: ":memory:",
  mode: "read-write",
  commit: "immediate",
})

const assemble = (database: Database, options: SqliteLedgerOptions) => {
  const prepare = cachedPrepare(database)
  const reads = makeReads(prepare)
  const committer =
    options.mode === "read-only"
      ? readOnlyCommitter(options.path)
      : makeCommitter(database, prepare, makeWrites(prepare, reads), options)
  return { prepare, reads, committer }
}

const cachedPrepare = (database: Database): Prepare => {
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
