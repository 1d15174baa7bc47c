/**
 * One series on a ledger of its own, moved by hand: the clock is a number, containers are left out, and every step is one transaction
 * of the real transitions. For properties over long histories, where a whole daemon would be too slow.
 */
import { Effect, Result } from "effect"
import type { EpochMs } from "../../src/domain/Instant.ts"
import { isTerminal, type Message } from "../../src/domain/Message.ts"
import { defaultHostLimits, defaultPolicy } from "../../src/domain/Policy.ts"
import type { Run } from "../../src/domain/Run.ts"
import type { Series } from "../../src/domain/Series.ts"
import { LedgerDriver, type LedgerReader, type LedgerTx } from "../../src/services/LedgerDriver.ts"
import { finishMessage, openOf } from "../../src/services/ledger/Finish.ts"
import type { Refusal } from "../../src/services/ledger/Refusals.ts"
import { createSeries, type NewSeries } from "../../src/services/ledger/SeriesTransitions.ts"
import { fireSlots } from "../../src/services/ledger/Slots.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "../../src/services/ledger/SessionUnit.ts"
import { aGroup, aSession, mid, sid, tid } from "./Rows.ts"

const S1 = sid("s1")
export const TASK = tid("t1")
/** The zone of the daemon, and so of every cron schedule here. */
export const ZONE = "America/New_York"
const MAX_ROWS = 100_000
const ENDS = { completed: "complete", failed: "fail", skipped: "skip" } as const

export interface SeriesLedger {
  /** What the series has become, with all its occurrences and runs, oldest first. */
  readonly seen: Effect.Effect<{
    readonly series: Series
    readonly occurrences: ReadonlyArray<Message>
    readonly runs: ReadonlyArray<Run>
  }>
  /** A transaction in the unit of its session. A refusal takes back everything. */
  readonly step: <A>(
    now: EpochMs,
    f: (unit: SessionUnit) => Result.Result<A, Refusal>,
  ) => Effect.Effect<A, Refusal>
  /** The daemon looks: everything that is due is dealt with. `crashes`: its transaction is lost. */
  readonly look: (now: EpochMs, outcome?: "commits" | "crashes") => Effect.Effect<void>
  /** The occurrences that have not ended; held back ones apart. */
  readonly open: Effect.Effect<{
    readonly running: ReadonlyArray<Message>
    readonly buffered: ReadonlyArray<Message>
  }>
  readonly claim: (message: Message, now: EpochMs) => Effect.Effect<void>
  readonly end: (message: Message, state: keyof typeof ENDS | "expired", now: EpochMs) => Effect.Effect<void>
}

const contextAt = (now: EpochMs): TransitionContext => ({
  now,
  policy: defaultPolicy,
  limits: defaultHostLimits,
  zone: ZONE,
  random: 0.5,
})

/** Makes the ledger with its one series. */
export const makeSeriesLedger = Effect.fnUntraced(function* (
  now: EpochMs,
  wanted: Pick<NewSeries, "schedule"> & Partial<NewSeries>,
) {
  const driver = yield* LedgerDriver
  const inTransaction = <A>(f: (tx: LedgerTx) => A) =>
    driver.transaction((tx) => Result.succeed(f(tx))).pipe(Effect.orDie)
  const step: SeriesLedger["step"] = (at, f) =>
    driver
      .transaction((tx) => {
        const unit = openUnit(tx, S1, contextAt(at))!
        const result = f(unit)
        if (Result.isSuccess(result)) unit.close()
        return result
      })
      .pipe(Effect.catchTag("LedgerError", Effect.die))
  const read = <A>(f: (reader: LedgerReader) => A) => Effect.orDie(driver.read(f))
  /** Does it in the session that the message went to. */
  const inSessionOf = (message: Message, at: EpochMs, f: (unit: SessionUnit, current: Message) => void) =>
    inTransaction((tx) => {
      const unit = openUnit(tx, message.sessionId, contextAt(at))!
      f(unit, tx.message(message.id)!)
      unit.close()
    })

  yield* inTransaction((tx) => {
    tx.putGroup(aGroup())
    tx.putSession(aSession())
  })
  yield* step(now, (unit) =>
    createSeries(unit, {
      id: TASK,
      name: null,
      prompt: "tick",
      script: null,
      priority: 1,
      ttlMs: null,
      channelType: null,
      platformId: null,
      threadId: null,
      ...wanted,
    }),
  )
  return {
    step,
    seen: read((reader) => ({
      series: reader.series(TASK)!,
      occurrences: reader.messages({ seriesId: TASK }, { limit: MAX_ROWS }).toReversed(),
      runs: reader.runs({ seriesId: TASK }, { limit: MAX_ROWS }).toReversed(),
    })),
    look: (at, outcome = "commits") =>
      driver
        .transaction((tx) => {
          fireSlots(tx, 100, contextAt(at))
          return outcome === "crashes" ? Result.fail("crashed" as const) : Result.succeed(undefined)
        })
        .pipe(Effect.catch(() => Effect.void)),
    open: read((reader) => {
      const unit = openUnit(reader as LedgerTx, S1, contextAt(now))!
      const { buffered, rows } = openOf(unit, { id: TASK })
      return { buffered, running: rows.filter((row) => !buffered.includes(row)) }
    }),
    claim: (message, at) =>
      inSessionOf(message, at, (unit, current) => {
        unit.moveMessage(current, "claim", { claimedAt: at, attempts: current.attempts + 1 })
      }),
    end: (message, state, at) =>
      inSessionOf(message, at, (unit, current) => {
        if (isTerminal(current.state)) return
        const nothing = { error: null, result: null }
        if (state === "expired") {
          finishMessage(unit, current, current.state === "claimed" ? "cancel-running" : "expire", nothing)
          return
        }
        const claimed = current.state === "claimed" ? current : unit.moveMessage(current, "claim", {})
        finishMessage(unit, claimed, ENDS[state], nothing)
      }),
  } satisfies SeriesLedger
})

export const runNowId = (n: number) => mid(`now-${n}`)
