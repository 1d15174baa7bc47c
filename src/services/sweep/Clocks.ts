/**
 * Notices that the host's clock was set or that the host slept: the wall clock and the monotonic one went different ways. Ages start
 * again then, and intervals are set back with the clock.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import { CLOCK_JUMP_MS } from "../../domain/ClockJump.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { ON_TIME_MS, type Outage } from "../../domain/SlotDecision.ts"
import type { LedgerError } from "../LedgerDriver.ts"
import { ContainerRuntime } from "../ContainerRuntime.ts"
import { clockMark } from "../ledger/ClockJumps.ts"
import { SessionStore } from "../SessionStore.ts"
import { Fleet } from "./Fleet.ts"

/** Series of one transaction, and transactions of one pass, that set intervals back. */
const BATCH = 200
const MAX_BATCHES = 50
/** Between two marks of the clocks in the ledger. */
const MARK_EVERY_MS = 600_000
/** A well-kept clock is corrected by at most this share of the time that passes: 500 parts in a million (RFC 5905). */
const MAX_SLEW = 0.0005

export class Clocks extends Context.Service<
  Clocks,
  {
    /** Reads the clock, once for a pass. */
    readonly read: Effect.Effect<EpochMs, LedgerError>
    /** The clock within a pass. A jump since the pass began is dealt with first: a host that slept meanwhile has aged nobody. */
    readonly now: Effect.Effect<EpochMs, LedgerError>
    /** The last time in which nobody looked. */
    readonly outage: () => Outage | null
  }
>()("lamplighter/services/sweep/Clocks") {
  static readonly layer = Layer.effect(
    Clocks,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const { bootId } = yield* ContainerRuntime
  let outage: Outage | null = null
  /** A start goes on with what the daemon before left. */
  let owesIntervals = true
  const setIntervalsBack = Effect.gen(function* () {
    for (let round = 0; owesIntervals && round < MAX_BATCHES; round++)
      owesIntervals = (yield* store.reanchorIntervals(BATCH)) >= BATCH
  })
  let last: Reading | null = null
  let mark: "to-compare" | "compared" = "to-compare"
  let markAgainAtMs = 0
  const jumps = yield* Semaphore.make(1)
  const read = Effect.map(Clock.Clock, (clock): Reading => ({
    wall: clock.currentTimeMillisUnsafe(),
    monotonicMs: Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n),
  }))
  /** Looks go on beside each other: the first that sees a jump deals with it. */
  const noticeJump = jumps.withPermit(
    Effect.gen(function* () {
      const here = yield* read
      const drift = driftOf(last, here)
      if (last === null || Math.abs(drift) <= CLOCK_JUMP_MS) return
      yield* Effect.logWarning(`the clock jumped by ${drift} ms: ages start again from now`)
      fleet.setClock(here.wall, "jumped")
      // `last` has not moved yet: a jump that can't be noted now is seen again.
      yield* store.noteClockJump(drift)
      owesIntervals = true
      if (drift > 0) outage = { from: last.wall, to: here.wall, cause: "jumped" }
      last = here
      markAgainAtMs = 0
    }),
  )
  /** Containers may have lived through a jump that no daemon saw. Intervals stay as they are. */
  const compareWithMark = Effect.fnUntraced(function* (here: Reading) {
    const before = yield* store.read((reader) => clockMark(reader, bootId))
    const drift = driftOf(before, here)
    const slewMs = Math.abs(here.monotonicMs - (before?.monotonicMs ?? 0)) * MAX_SLEW
    if (Math.abs(drift) <= CLOCK_JUMP_MS + slewMs) return
    yield* Effect.logWarning(`the clock jumped by ${drift} ms while no daemon ran: ages start again from now`)
    fleet.setClock(here.wall, "jumped")
  })
  return Clocks.of({
    read: Effect.gen(function* () {
      yield* noticeJump
      const here = yield* read
      const { wall } = here
      if (last === null) outage = { from: 0, to: wall, cause: "down" }
      else if (wall < last.wall) fleet.setClock(wall, "back")
      else if (wall - last.wall > ON_TIME_MS) outage = { from: last.wall, to: wall, cause: "stalled" }
      last = here
      if (mark === "to-compare") yield* compareWithMark(here)
      mark = "compared"
      if (here.monotonicMs >= markAgainAtMs) {
        markAgainAtMs = here.monotonicMs + MARK_EVERY_MS
        yield* Effect.ignore(store.markClock({ bootId, ...here }))
      }
      yield* setIntervalsBack
      return wall
    }),
    now: Effect.flatMap(read, (here) =>
      Math.abs(driftOf(last, here)) > CLOCK_JUMP_MS
        ? Effect.andThen(noticeJump, Clock.currentTimeMillis)
        : Effect.succeed(here.wall),
    ),
    outage: () => outage,
  })
})

interface Reading {
  readonly wall: EpochMs
  readonly monotonicMs: number
}

/** By how much the wall clock went further than the monotonic one. */
const driftOf = (before: Reading | null, here: Reading): number =>
  before === null ? 0 : here.wall - before.wall - (here.monotonicMs - before.monotonicMs)
