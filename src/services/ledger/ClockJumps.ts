/**
 * What the ledger does about a clock that jumped: the jump is noted, for who asks how the host is, and the grids of intervals are set
 * back with it, some series at a time. What is left to do is in the ledger too, so that a restart goes on with it.
 */
import { Option, Schema } from "effect"
import { CLOCK_JUMP_MS, ClockJump, reanchored } from "../../domain/ClockJump.ts"
import { formatExchangeTime } from "../../domain/ExchangeTime.ts"
import { SeriesId } from "../../domain/Ids.ts"
import { DAY_MS, EpochMs } from "../../domain/Instant.ts"
import { HELD_BACK } from "../../domain/Message.ts"
import type { Series } from "../../domain/Series.ts"
import type { LedgerReader, LedgerTx } from "../LedgerDriver.ts"
import { openOf } from "./Finish.ts"
import { amendSeries } from "./SeriesRows.ts"
import { inSession, openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

/** A jump is shown among what should be known of the host for this long. */
const SHOWN_MS = DAY_MS
const LAST = "clock.jump"
const LEFT = "clock.left"
/** Jumps whose series are not all done; with more the oldest are given up. */
const MAX_LEFT = 16

const Left = Schema.Array(Schema.Struct({ jump: ClockJump, after: Schema.NullOr(SeriesId) }))
const lastJson = Schema.fromJsonString(ClockJump)
const leftJson = Schema.fromJsonString(Left)

/** Where both clocks of a host stood during one of its boots. The next daemon of that boot can tell a jump from time that passed. */
const ClockMark = Schema.Struct({ bootId: Schema.String, wall: EpochMs, monotonicMs: Schema.Int })
const markJson = Schema.fromJsonString(ClockMark)
const MARK = "clock.mark"

export const markClock = (tx: LedgerTx, mark: typeof ClockMark.Type): void =>
  tx.putMeta(MARK, Schema.encodeSync(markJson)(mark))

export const clockMark = (reader: LedgerReader, bootId: string) =>
  Option.getOrNull(
    Option.filter(Schema.decodeUnknownOption(markJson)(reader.meta(MARK)), (mark) => mark.bootId === bootId),
  )

/** The last jump that a daemon saw; one while no daemon runs moves no interval, and is not noted. */
const lastClockJump = (reader: LedgerReader): ClockJump | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(lastJson)(reader.meta(LAST)))

/** What status says of it, while it is news. */
export const clockWarning = (reader: LedgerReader, now: EpochMs): ReadonlyArray<string> => {
  const jump = lastClockJump(reader)
  return jump === undefined || Math.abs(now - jump.at) > SHOWN_MS
    ? []
    : [`${describeJump(jump.byMs)}; it showed ${formatExchangeTime(jump.at)} then`]
}

const describeJump = (byMs: number): string =>
  byMs < 0
    ? `the clock was set back by ${-byMs} ms`
    : `the clock was set forward by ${byMs} ms, or the host slept`

const leftOf = (reader: LedgerReader): typeof Left.Type =>
  Option.getOrElse(Schema.decodeUnknownOption(leftJson)(reader.meta(LEFT)), () => [])

const putLeft = (tx: LedgerTx, left: typeof Left.Type): void =>
  tx.putMeta(LEFT, Schema.encodeSync(leftJson)(left.slice(-MAX_LEFT)))

/** Notes that the clock jumped, by so much. When it was set back, `reanchorIntervals` has work from now on. */
export const noteClockJump = (tx: LedgerTx, byMs: number, { now }: TransitionContext): void => {
  const jump = { at: now, byMs }
  tx.putMeta(LAST, Schema.encodeSync(lastJson)(jump))
  tx.appendEvent({ at: now, type: "clock", sessionId: null, messageId: null, text: describeJump(byMs) })
  if (byMs <= -CLOCK_JUMP_MS) putLeft(tx, [...leftOf(tx), { jump, after: null }])
}

/** Sets the grids of intervals back, of at most `limit` series. Returns fewer than `limit` when nothing is left to do. */
export const reanchorIntervals = (tx: LedgerTx, limit: number, context: TransitionContext): number => {
  const [first, ...others] = leftOf(tx)
  if (first === undefined) return 0
  const page = tx.seriesList({}, { limit, after: first.after ?? undefined })
  for (const series of page) {
    const patch = reanchored(series, first.jump)
    const unit = patch === null ? undefined : openUnit(tx, series.sessionId, context)
    if (patch === null || unit === undefined) continue
    amendSeries(unit, series, patch)
    pullForward(unit, series, first.jump)
    unit.close()
  }
  const last = page.length < limit ? undefined : page.at(-1)
  putLeft(tx, last === undefined ? others : [{ ...first, after: last.id }, ...others])
  return last === undefined && others.length === 0 ? Math.min(page.length, limit - 1) : limit
}

/** An occurrence that waits for its jitter or its next try waits for elapsed time too. */
const pullForward = (unit: SessionUnit, series: Series, { byMs }: ClockJump): void => {
  const { now } = unit.context
  for (const message of openOf(unit, series).rows) {
    if (message.state !== "pending" || message.dueAt === HELD_BACK || message.dueAt <= now) continue
    inSession(unit, message.sessionId, (own) =>
      own.updateMessage(message, { dueAt: Math.max(now, message.dueAt + byMs) }),
    )
  }
}
