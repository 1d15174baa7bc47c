/**
 * Transactions on one connection. Under load many share one commit, and so one fsync, and none is answered before it. A body that is
 * refused has rarely written anything; where one has, all are undone and run again, each in a savepoint of its own. What a failed commit left behind is unknown, so after one nothing more is written.
 */
import type { Database } from "better-sqlite3"
import { Effect, Exit, Result } from "effect"
import { LedgerError, type LedgerTx } from "../../services/LedgerDriver.ts"
import { storageFailure } from "./LedgerFailure.ts"
import type { Prepare } from "./LedgerTables.ts"
import type { Writes } from "./LedgerWrites.ts"

/** Bounds how large a transaction grows. */
const MAX_BATCH = 500
/** Bounds how long the event loop stands still. */
const MAX_TURN_MS = 4

interface Entry {
  readonly body: (tx: LedgerTx) => Result.Result<unknown, unknown>
  readonly settle: (exit: Exit.Exit<unknown, unknown>) => void
  waiting: boolean
}

export interface Committer {
  readonly transaction: <A, E>(
    body: (tx: LedgerTx) => Result.Result<A, E>,
  ) => Effect.Effect<A, E | LedgerError>
  /** Nothing runs any more: what waits fails as `Closed`, and so does what comes. */
  readonly close: () => void
}

/** `group`: what was asked for in one turn of the event loop is committed at once. `immediate`: each by itself, at once. */
export const makeCommitter = (
  database: Database,
  prepare: Prepare,
  writes: Writes,
  options: { readonly commit: "group" | "immediate"; readonly maxTurnMs?: number },
): Committer => {
  const { commit, maxTurnMs = MAX_TURN_MS } = options
  const run = makeBatchRunner(makeBounds(database, prepare), writes)
  let waiting: Array<Entry> = []
  let scheduled: NodeJS.Immediate | undefined

  const flush = (): void => {
    if (scheduled !== undefined) clearImmediate(scheduled)
    waiting = waiting.filter((entry) => entry.waiting)
    const batch = waiting.splice(0, MAX_BATCH)
    const left = batch.slice(run.batch(batch, performance.now() + maxTurnMs))
    // What its bodies and their callers asked for meanwhile comes after what waits already.
    waiting = [...left, ...waiting]
    scheduled = waiting.length > 0 ? setImmediate(flush) : undefined
  }

  const grouped: Committer["transaction"] = (body) =>
    Effect.callback((resume) => {
      // An entry keeps the types of its caller to itself: its body's results reach only its own `resume`.
      const entry: Entry = { body, settle: resume as Entry["settle"], waiting: true }
      waiting.push(entry)
      scheduled ??= setImmediate(flush)
      return Effect.sync(() => {
        entry.waiting = false
      })
    })

  const immediate: Committer["transaction"] = <A, E>(body: (tx: LedgerTx) => Result.Result<A, E>) =>
    Effect.suspend(() => {
      let exit: Exit.Exit<unknown, unknown> = Exit.die("the transaction was not run")
      run.batch([{ body, settle: (settled) => (exit = settled), waiting: true }], Infinity)
      return exit as Exit.Exit<A, E | LedgerError>
    })

  return {
    transaction: commit === "group" ? grouped : immediate,
    close: () => {
      run.refuse("the ledger is closed")
      while (waiting.length > 0) flush()
    },
  }
}

/** The statements around bodies. `undo` takes back everything; `problem` says why it could not. */
const makeBounds = (database: Database, prepare: Prepare) => {
  const begin = prepare("BEGIN IMMEDIATE")
  const commit = prepare("COMMIT")
  const rollback = prepare("ROLLBACK")
  const savepoint = prepare("SAVEPOINT entry")
  const release = prepare("RELEASE entry")
  const rollbackTo = prepare("ROLLBACK TO entry")
  let problem: string | undefined
  return {
    isOpen: () => database.inTransaction,
    begin: () => begin.run(),
    commit: () => commit.run(),
    enter: () => savepoint.run(),
    leave: (exit: Exit.Exit<unknown, unknown>): void => {
      if (!Exit.isSuccess(exit)) rollbackTo.run()
      release.run()
    },
    undo: (): void => {
      try {
        if (database.inTransaction) rollback.run()
      } catch (cause) {
        problem ??= `a rollback failed before (${String(cause)})`
      }
    },
    problem: () => problem,
  }
}

type Bounds = ReturnType<typeof makeBounds>

/** `together`: what one body has written can only be undone with all the others. `apart`: each is in a savepoint of its own. */
type Company = "together" | "apart"

/** Runs one body, and undoes it unless it succeeded. */
const runEntry = (
  entry: Entry,
  company: Company,
  bounds: Bounds,
  writes: Writes,
): Exit.Exit<unknown, unknown> => {
  let exit: Exit.Exit<unknown, unknown>
  try {
    if (company === "apart") bounds.enter()
    const result = entry.body(writes.tx)
    exit = Result.isSuccess(result) ? Exit.succeed(result.success) : Exit.fail(result.failure)
  } catch (cause) {
    exit = failed("the ledger could not be written", cause)
  }
  if (!Exit.isSuccess(exit)) writes.forget()
  if (company === "together" || !bounds.isOpen()) return exit
  try {
    bounds.leave(exit)
    return exit
  } catch (cause) {
    bounds.undo()
    return failed("the ledger could not be written", cause)
  }
}

/** What became of the first entries of a batch. `broken`: nothing more may be written, and why. */
interface Ran {
  readonly exits: ReadonlyArray<Exit.Exit<unknown, unknown>>
  readonly broken?: string | undefined
}

/**
 * Runs at least one entry, and the others while it is not later than `until`, in one transaction. Some failures (a full disk) make
 * SQLite roll back everything, other entries included. They fail with the same error; those after them have not run yet and go on in
 * a transaction of their own.
 */
const runSome = (
  entries: ReadonlyArray<Entry>,
  until: number,
  bounds: Bounds,
  writes: Writes,
  company: Company = "together",
): Ran => {
  const exits: Array<Exit.Exit<unknown, unknown>> = []
  writes.forget()
  try {
    bounds.begin()
    for (const entry of entries) {
      const begun = writes.begun()
      const exit = runEntry(entry, company, bounds, writes)
      exits.push(exit)
      const isStained = company === "together" && !Exit.isSuccess(exit) && writes.begun() !== begun
      if (isStained && exits.length > 1 && bounds.isOpen()) {
        bounds.undo()
        return runSome(entries.slice(0, exits.length), until, bounds, writes, "apart")
      }
      if (isStained && bounds.isOpen()) break
      if (!bounds.isOpen() || performance.now() > until) break
    }
  } catch (cause) {
    const exit = failed("the ledger could not be written", cause)
    bounds.undo()
    return { exits: entries.map(() => exit) }
  }
  const last = exits.at(-1)
  if (exits.length === 1 && last !== undefined && !Exit.isSuccess(last)) {
    bounds.undo()
    return { exits }
  }
  if (!bounds.isOpen() && last !== undefined) {
    return { exits: exits.map((exit) => (Exit.isSuccess(exit) ? lost(last) : exit)) }
  }
  try {
    bounds.commit()
    return { exits }
  } catch (cause) {
    const failure = commitFailure(cause)
    bounds.undo()
    return {
      exits: exits.map((exit) => (Exit.isSuccess(exit) ? Exit.fail(failure) : exit)),
      broken: failure.reason === "Uncertain" ? `a commit failed before (${failure.message})` : undefined,
    }
  }
}

const makeBatchRunner = (bounds: Bounds, writes: Writes) => {
  let refusal: string | undefined
  return {
    /** Every later batch is refused with this reason. The first reason stays. */
    refuse: (why: string): void => {
      refusal ??= why
    },
    /** Runs at least one of them, and the others while it is not later than `until` (ms of `performance`). Settles each that ran, once. */
    batch: (entries: ReadonlyArray<Entry>, until: number): number => {
      let next = 0
      while (next < entries.length && (next === 0 || performance.now() <= until)) {
        if (refusal !== undefined) {
          const message = `nothing was written: ${refusal}; start the daemon again to open the ledger afresh`
          settleAll(entries.slice(next), Exit.fail(new LedgerError({ reason: "Closed", message })))
          return entries.length
        }
        const ran = runSome(entries.slice(next), until, bounds, writes)
        refusal ??= ran.broken ?? bounds.problem()
        settleEach(entries.slice(next), ran.exits)
        next += ran.exits.length
      }
      return next
    },
  }
}

const settleEach = (
  entries: ReadonlyArray<Entry>,
  exits: ReadonlyArray<Exit.Exit<unknown, unknown>>,
): void => {
  for (const [index, entry] of entries.entries()) {
    const exit = exits[index]
    if (exit !== undefined) entry.settle(exit)
  }
}

const settleAll = (entries: ReadonlyArray<Entry>, exit: Exit.Exit<unknown, unknown>): void => {
  for (const entry of entries) entry.settle(exit)
}

const failed = (what: string, cause: unknown): Exit.Exit<never, LedgerError> => {
  const failure = storageFailure(what, cause)
  return failure === undefined ? Exit.die(cause) : Exit.fail(failure)
}

/** For an entry that had succeeded in a transaction that another one's failure took down. */
const lost = (culprit: Exit.Exit<unknown, unknown>): Exit.Exit<never, LedgerError> => {
  const failure = Exit.isFailure(culprit) ? Exit.findErrorOption(culprit) : undefined
  return failure?._tag === "Some" && failure.value instanceof LedgerError
    ? Exit.fail(failure.value)
    : Exit.fail(
        new LedgerError({
          reason: "Io",
          message:
            "nothing was written: the transaction was rolled back by an error in another one; try again",
        }),
      )
}

/** Only these say for certain that nothing was committed. */
const commitFailure = (cause: unknown): LedgerError => {
  const failure = storageFailure("the commit failed", cause)
  if (failure !== undefined && ["Full", "Busy", "ReadOnly"].includes(failure.reason)) return failure
  return new LedgerError({
    reason: "Uncertain",
    message: `the commit failed, and whether anything of it is durable is unknown: ${failure?.message ?? String(cause)}`,
  })
}
