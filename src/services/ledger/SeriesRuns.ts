/** Runs of a series that its schedule did not ask for: one now, or the slots of a range. They have no part in the grid. */
import { Result } from "effect"
import type { MessageId, SeriesId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import type { Message } from "../../domain/Message.ts"
import type { Series } from "../../domain/Series.ts"
import { previewOf } from "../../domain/SeriesSlots.ts"
import { behind, OPEN_LIMIT } from "../../domain/SlotDecision.ts"
import { openOf } from "./Finish.ts"
import { insertOccurrence } from "./Occurrences.ts"
import { conflict, type Conflict, Full, invalid, type NotFound, type Refusal } from "./Refusals.ts"
import { occurrenceId, ownSeries } from "./SeriesRows.ts"
import type { SessionUnit } from "./SessionUnit.ts"

/** Whatever its state, unless it was cancelled: that is for good. A completed one can be run once more. */
const keptSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound | Conflict> =>
  Result.flatMap(ownSeries(unit, id), (series) =>
    series.status === "cancelled"
      ? conflict(`task '${id}' is cancelled; make a new one`)
      : Result.succeed(series),
  )

/** Runs beside the schedule are bounded as those of it are. */
const refuseCrowd = (unit: SessionUnit, series: Series, wanted: number): Full | undefined => {
  const open = openOf(unit, series).rows.length
  return open + wanted <= OPEN_LIMIT
    ? undefined
    : new Full({
        message: `task '${series.id}' has ${open} runs that have not ended, and may have ${OPEN_LIMIT}; wait for them, or cancel some`,
      })
}

/** Runs it once, beside its schedule: an occurrence without a slot. */
export const runNow = (
  unit: SessionUnit,
  id: SeriesId,
  messageId: MessageId,
): Result.Result<Message, Refusal> =>
  Result.flatMap(keptSeries(unit, id), (series) => {
    const crowd = refuseCrowd(unit, series, 1)
    if (crowd !== undefined) return Result.fail(crowd)
    return Result.succeed(
      insertOccurrence(unit, series, {
        id: messageId,
        slot: null,
        origin: "run-now",
        dueAt: unit.context.now,
        priority: series.priority,
      }),
    )
  })

/** Slots of one backfill. */
const MAX_BACKFILL = 1_000

export interface Backfill {
  /** Repeating a backfill under the same name makes nothing twice. */
  readonly name: string
  readonly from: EpochMs
  readonly to: EpochMs
}

/** Runs the slots from one instant to another, both included, beside the schedule, oldest first. Returns the occurrences it made. */
export const backfillSeries = (
  unit: SessionUnit,
  id: SeriesId,
  { from, name, to }: Backfill,
): Result.Result<ReadonlyArray<Message>, Refusal> =>
  Result.flatMap(keptSeries(unit, id), (series): Result.Result<ReadonlyArray<Message>, Refusal> => {
    const slots = previewOf(series, from - 1, MAX_BACKFILL + 1).filter((slot) => slot <= to)
    if (slots.length > MAX_BACKFILL) {
      return invalid(
        "to",
        `from ${from} to ${to} task '${id}' has more than ${MAX_BACKFILL} slots; backfill a shorter range`,
      )
    }
    const origin = `backfill:${name}`
    const missing = slots.filter((slot) => unit.tx.occurrence(series.id, slot, origin) === undefined)
    const crowd = refuseCrowd(unit, series, missing.length)
    if (crowd !== undefined) return Result.fail(crowd)
    return Result.succeed(
      missing.map((slot, index) =>
        insertOccurrence(unit, series, {
          id: occurrenceId(`${series.id}-${name}-${slot}`),
          slot,
          origin,
          dueAt: unit.context.now + index * series.policy.staggerMs,
          priority: behind(series.priority),
        }),
      ),
    )
  })
