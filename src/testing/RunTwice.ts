/**
 * A debug mode of any ledger: each transaction's body runs a second time, on the same reads. It must ask and write the same again and
 * come to the same result, or the transaction dies. A body that reads a clock, keeps state or changes a row in place is found out.
 */
import { Effect, Equal, Layer, Result } from "effect"
import { LedgerDriver, type LedgerTx } from "../services/LedgerDriver.ts"

interface Call {
  readonly name: string
  /** As JSON text: a body may go on with what it passed. */
  readonly given: string
  readonly answer: unknown
}

/** More calls than this are compared no further. */
const MAX_CALLS = 10_000

type AnyMethod = (...given: ReadonlyArray<unknown>) => unknown

const wrapEach = (tx: LedgerTx, wrap: (name: string, method: AnyMethod) => AnyMethod): LedgerTx =>
  Object.fromEntries(
    Object.entries(tx).map(([name, method]) => [name, wrap(name, method as AnyMethod)]),
  ) as unknown as LedgerTx

/** The same transaction; notes each call. Answers are copies, so that what a body does to one is not seen by the second run. */
const recording = (tx: LedgerTx, calls: Array<Call>): LedgerTx =>
  wrapEach(tx, (name, method) => (...given) => {
    const answer = method(...given)
    if (calls.length < MAX_CALLS) {
      calls.push({ name, given: JSON.stringify(given), answer: structuredClone(answer) })
    }
    return answer
  })

/** Answers from the notes, and refuses any other call. Writes nothing. */
const replaying = (
  tx: LedgerTx,
  calls: ReadonlyArray<Call>,
): { readonly tx: LedgerTx; readonly end: () => void } => {
  let next = 0
  return {
    tx: wrapEach(tx, (name) => (...given) => {
      const call = calls[next++]
      const again = `${name}${JSON.stringify(given)}`
      const before = call === undefined ? "nothing" : `${call.name}${call.given}`
      if (again !== before)
        throw new Error(`a transaction's body run again did ${again}, and ${before} before`)
      return call?.answer
    }),
    end: () => {
      if (next !== calls.length)
        throw new Error(`a transaction's body run again did less: ${calls[next]?.name}`)
    },
  }
}

/** Runs a body as it is and then again; dies where the second run differs. */
export const runTwice =
  <A, E>(body: (tx: LedgerTx) => Result.Result<A, E>): ((tx: LedgerTx) => Result.Result<A, E>) =>
  (tx) => {
    const calls: Array<Call> = []
    const first = body(recording(tx, calls))
    if (calls.length >= MAX_CALLS) return first
    const replay = replaying(tx, calls)
    const second = body(replay.tx)
    replay.end()
    if (!Equal.equals(first, second) && JSON.stringify(first) !== JSON.stringify(second)) {
      throw new Error(
        `a transaction's body run again came to ${JSON.stringify(second)}, and ${JSON.stringify(first)} before`,
      )
    }
    return first
  }

/** The same ledger, with each body run twice. */
export const layerRunTwice = <E, R>(
  ledger: Layer.Layer<LedgerDriver, E, R>,
): Layer.Layer<LedgerDriver, E, R> =>
  Layer.effect(
    LedgerDriver,
    Effect.map(LedgerDriver, (driver) => ({
      ...driver,
      transaction: (body) => driver.transaction(runTwice(body)),
    })),
  ).pipe(Layer.provide(ledger))
