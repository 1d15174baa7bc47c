/**
 * The states of a series, as one table. The ledger takes only rows that this module made (`SeriesRow`), so no change of state goes
 * around it.
 *
 * | event      | active      | paused      | completed   | cancelled |
 * |------------|-------------|-------------|-------------|-----------|
 * | `pause`    | `paused`    | refused (1) | refused     | refused   |
 * | `resume`   | refused (1) | `active`    | refused     | refused   |
 * | `complete` | `completed` | `completed` | refused     | refused   |
 * | `cancel`   | `cancelled` | `cancelled` | `cancelled` | refused   |
 *
 * (1) Asked for twice, it has happened already: the callers answer with the series as it is. `complete`: no slot is left, also at the
 * end of a pause.
 */
import { type Brand, Result, Schema } from "effect"
import { type Series, SeriesStatus } from "./Series.ts"

export const SeriesEvent = Schema.Literals(["pause", "resume", "complete", "cancel"])
export type SeriesEvent = typeof SeriesEvent.Type

const TABLE: { readonly [Status in SeriesStatus]: { readonly [Event in SeriesEvent]?: SeriesStatus } } = {
  active: { pause: "paused", complete: "completed", cancel: "cancelled" },
  paused: { resume: "active", complete: "completed", cancel: "cancelled" },
  completed: { cancel: "cancelled" },
  cancelled: {},
}

/** The event is not possible in this state; nothing happened. */
export class IllegalSeriesTransition extends Schema.TaggedError<IllegalSeriesTransition>()(
  "IllegalSeriesTransition",
  { status: SeriesStatus, event: SeriesEvent, message: Schema.String },
) {}

/** A series that may be written: what it was before, changed as the table allows. */
export type SeriesRow = Series & Brand.Brand<"SeriesRow">
/** Changes that leave the state alone. */
export type SeriesPatch = Partial<Omit<Series, "status">>

/** A series that is new. */
export const bornSeries = (fields: Omit<Series, "status">): SeriesRow =>
  ({ ...fields, status: "active" }) as SeriesRow

/** The same series in the same state, with other fields changed. */
export const amendedSeries = (before: Series, patch: SeriesPatch): SeriesRow =>
  ({ ...before, ...patch, status: before.status }) as SeriesRow

/** The series after the event. */
export const movedSeries = (
  before: Series,
  event: SeriesEvent,
  patch: SeriesPatch,
): Result.Result<SeriesRow, IllegalSeriesTransition> => {
  const status = TABLE[before.status][event]
  return status === undefined
    ? Result.fail(
        new IllegalSeriesTransition({
          status: before.status,
          event,
          message: `can't ${event} task '${before.id}', which is ${before.status}`,
        }),
      )
    : Result.succeed({ ...before, ...patch, status } as SeriesRow)
}
