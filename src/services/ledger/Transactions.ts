/**
 * How the store's operations become transactions: each by itself, under its crash points, with one reading of the clock, and told to
 * those who watch what the ledger is told.
 */
import { Clock, Effect, Random, Result } from "effect"
import type { SeriesId, SessionId } from "../../domain/Ids.ts"
import { crashable } from "../CrashPoint.ts"
import type { LedgerDriver, LedgerTx } from "../LedgerDriver.ts"
import { LedgerError } from "../LedgerDriver.ts"
import { naming, type Touched } from "../Touched.ts"
import { findSeries } from "./FindSeries.ts"
import { NotFound } from "./Refusals.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

export type Transactions = ReturnType<typeof makeTransactions>

type Step<A> = (tx: LedgerTx, context: TransitionContext) => A

export const makeTransactions = (made: {
  readonly driver: LedgerDriver["Service"]
  readonly options: Omit<TransitionContext, "now" | "random">
  readonly touched: Touched
  /** What follows a commit, and what follows a failure of the storage. */
  readonly worked: Effect.Effect<void>
  readonly failed: (error: LedgerError) => Effect.Effect<unknown>
}) => {
  const { driver, failed, options, touched, worked } = made
  const named = naming(touched)

  const noted = (error: unknown) => (error instanceof LedgerError ? failed(error) : Effect.void)

  /** One transaction. A failure undoes it. Every accept comes through here, and `pipe` would make a closure of each step each time. */
  const transact = <A, E>(name: string, f: Step<Result.Result<A, E>>): Effect.Effect<A, E | LedgerError> => {
    const transaction = Effect.withFiber((fiber) => {
      const known = {
        ...options,
        now: fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(),
        random: fiber.getRef(Random.Random).nextDoubleUnsafe(),
      }
      return driver.transaction((tx) => f(named(tx), known))
    })
    return crashable(`ledger.${name}`)(Effect.tapError(Effect.tap(transaction, worked), noted))
  }

  return {
    transact,
    /** One that nothing refuses. */
    always: <A>(name: string, f: Step<A>): Effect.Effect<A, LedgerError> =>
      transact(name, (tx, known) => Result.succeed(f(tx, known))),
    /** Runs one step inside the unit of a session and closes the unit when it succeeds. */
    inUnit: <A, E>(
      name: string,
      session: SessionId | ((tx: LedgerTx) => Result.Result<SessionId, NotFound>),
      step: (unit: SessionUnit) => Result.Result<A, E>,
    ) =>
      transact<A, E | NotFound>(name, (tx, known) => {
        const id = typeof session === "string" ? Result.succeed(session) : session(tx)
        if (Result.isFailure(id)) return Result.fail(id.failure)
        const unit = openUnit(tx, id.success, known)
        if (unit === undefined) return Result.fail(NotFound.of("session", id.success))
        const result = step(unit)
        if (Result.isSuccess(result)) unit.close()
        return result
      }),
  }
}

export const sessionOfSeries =
  (id: SeriesId) =>
  (tx: LedgerTx): Result.Result<SessionId, NotFound> => {
    const series = findSeries(tx, id)
    return series === undefined ? Result.fail(NotFound.of("task", id)) : Result.succeed(series.sessionId)
  }
