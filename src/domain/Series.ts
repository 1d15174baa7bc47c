/**
 * A series: one row of truth for a task, with its schedule, policy, revision and indexed next slot. When the slot comes, one
 * transaction inserts the occurrence (or a run row that says why not) and advances `nextSlot`. The end of an occurrence arms
 * nothing, so a series can neither fork nor die, whatever its runs do.
 */
import { type Brand, Result, Schema } from "effect"
import { Address } from "./Address.ts"
import { count, partly } from "./Fields.ts"
import { GroupId, SeriesId, SessionId } from "./Ids.ts"
import { DAY_MS, EpochMs, Millis } from "./Instant.ts"
import { Priority } from "./Message.ts"

/*
 * What a series may say beyond its schedule: the bounds of its slots (start, end, number of runs, excluded dates, jitter), and its
 * policies, named as Temporal and Kubernetes name them. Every field has a default, and the defaults are what most tasks want.
 */

/** What to do with a slot that comes while an occurrence has not ended. */
export const OverlapPolicy = Schema.Literals([
  "skip",
  "buffer-one",
  "buffer-all",
  "cancel-other",
  "allow-all",
])
export type OverlapPolicy = typeof OverlapPolicy.Type

/** What to do with slots that passed unseen: run the latest only, none, or all of them (capped, oldest first). */
export const CatchUpPolicy = Schema.Literals(["latest", "skip", "all"])
export type CatchUpPolicy = typeof CatchUpPolicy.Type

/** `group`: occurrences go to the series' own session. `isolated`: each to a fresh one, without history, removed after a while. */
export const ContextPolicy = Schema.Literals(["group", "isolated"])
export type ContextPolicy = typeof ContextPolicy.Type

/** A calendar date in the series' zone. */
const CalendarDate = Schema.String.check(Schema.isPattern(/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/))

export const SeriesBounds = Schema.Struct({
  /** No slot before this instant. */
  startAt: Schema.NullOr(EpochMs),
  /** No slot after this instant. */
  endAt: Schema.NullOr(EpochMs),
  /** Occurrences that its schedule gives in all; then it is completed. */
  maxRuns: Schema.NullOr(count(1, 1_000_000_000)),
  /** Dates in the series' zone that have no slots. */
  exclusions: Schema.Array(CalendarDate).check(Schema.isMaxLength(1_000)),
  /** Every occurrence is due later than its slot by one and the same share of this, which its id decides. */
  jitterMs: count(0, DAY_MS),
})
export type SeriesBounds = typeof SeriesBounds.Type

export const SeriesPolicy = Schema.Struct({
  /** Slots older than this are recorded as missed, whatever the catch-up policy says. Null: no window. */
  catchUpWindowMs: Schema.NullOr(Millis),
  /** With `all`: the last so many slots run; the earlier ones are recorded as missed. */
  catchUpCap: count(1, 1_000),
  /** With `all`: between the due times of two caught-up occurrences. */
  staggerMs: count(0, DAY_MS),
  /** With `buffer-all`: occurrences that wait at once; beyond, slots are recorded as skipped by overlap. */
  bufferLimit: count(1, 1_000),
  /** The series pauses itself after so many failed occurrences in a row. Null: never. */
  pauseAfterFailures: Schema.NullOr(count(1, 1_000_000)),
  /** An occurrence that runs longer than this after its first claim is cancelled. Null: never. */
  startToCloseMs: Schema.NullOr(Millis),
  context: ContextPolicy,
  /** How long an isolated session stays after its occurrence ended. */
  isolatedRetentionMs: Millis,
  /** In place of the group's retry limit and base of the backoff. */
  retryLimit: Schema.NullOr(count(0, 100)),
  retryBaseMs: Schema.NullOr(Millis),
})
export type SeriesPolicy = typeof SeriesPolicy.Type

/** The fields of a request that say what a task has beyond its schedule. Absent: the default, or at an update what it was. */
export const seriesSettings = {
  overlap: Schema.optionalKey(OverlapPolicy),
  catchUp: Schema.optionalKey(CatchUpPolicy),
  bounds: Schema.optionalKey(partly(SeriesBounds)),
  policy: Schema.optionalKey(partly(SeriesPolicy)),
}

export const unbounded: SeriesBounds = {
  startAt: null,
  endAt: null,
  maxRuns: null,
  exclusions: [],
  jitterMs: 0,
}

export const defaultSeriesPolicy: SeriesPolicy = {
  catchUpWindowMs: null,
  catchUpCap: 100,
  staggerMs: 0,
  bufferLimit: 100,
  pauseAfterFailures: null,
  startToCloseMs: null,
  context: "group",
  isolatedRetentionMs: DAY_MS,
  retryLimit: null,
  retryBaseMs: null,
}

/** The delay of every occurrence of one series: the same after a restart, and spread over the series by their ids. */
export const jitterOf = (seriesId: string, jitterMs: number): number => {
  if (jitterMs <= 0) return 0
  // FNV-1a, 32 bits: well spread, and the same on every machine.
  let hash = 0x81_1c_9d_c5
  for (let index = 0; index < seriesId.length; index++) {
    hash = Math.imul(hash ^ seriesId.charCodeAt(index), 0x01_00_01_93)
  }
  return (hash >>> 0) % (jitterMs + 1)
}

/** The canonical, stored form of a schedule. `Recurrence.ts` parses human forms into it and finds slots. */
export const Schedule = Schema.Union([
  Schema.TaggedStruct("Once", { at: EpochMs }),
  /** Five or six fields, or `@daily` and the like, in the series' zone. */
  Schema.TaggedStruct("Cron", { expression: Schema.String, zone: Schema.String }),
  /** A grid: `anchor + n · everyMs`. */
  Schema.TaggedStruct("Interval", { everyMs: Millis, anchor: EpochMs }),
])
export type Schedule = typeof Schedule.Type

/** `completed`: no slot is left (a `Once` that fired, an end that passed). */
export const SeriesStatus = Schema.Literals(["active", "paused", "completed", "cancelled"])
export type SeriesStatus = typeof SeriesStatus.Type

export const Series = Schema.Struct({
  id: SeriesId,
  /** What its agent calls it: unique within its session only. Null where an operator made it, under its own id. */
  taskId: Schema.NullOr(SeriesId),
  groupId: GroupId,
  /** The session that its occurrences go to. */
  sessionId: SessionId,
  /** The (even) sequence number of its preview row in inbound.db. */
  seq: Schema.Int,
  name: Schema.NullOr(Schema.String),
  prompt: Schema.String,
  /** Bash, run inside the container before the agent; its last line of JSON can skip the occurrence. */
  script: Schema.NullOr(Schema.String),
  schedule: Schedule,
  /** The zone in which it is shown, and in which cron is read. */
  zone: Schema.String,
  overlap: OverlapPolicy,
  catchUp: CatchUpPolicy,
  bounds: SeriesBounds,
  policy: SeriesPolicy,
  priority: Priority,
  /** An occurrence that nothing claimed within this expires; null: never. */
  ttlMs: Schema.NullOr(Millis),
  status: SeriesStatus,
  note: Schema.NullOr(Schema.String),
  /** Grows with each change; an update that names an old one is refused. */
  revision: Schema.Int,
  /** How often the clock was set back under it: part of its slots' key, see `ClockJump.ts`. */
  grid: Schema.Int,
  /** The next slot that will fire; null when paused for good or exhausted. Indexed. */
  nextSlot: Schema.NullOr(EpochMs),
  /** The last slot that was dealt with (fired, skipped, missed, or recorded as paused). */
  lastSlot: Schema.NullOr(EpochMs),
  /** Occurrences that its schedule has given. */
  fired: Schema.Int,
  /** Failed occurrences since the last good one. */
  failuresInRow: Schema.Int,
  ...Address.fields,
  createdAt: EpochMs,
})
export type Series = typeof Series.Type

const SCHEDULED = "schedule"

/** The origin of the slots that the schedule gives, which makes them unique together with series and slot. */
export const scheduleOrigin = ({ grid }: Pick<Series, "grid">): string =>
  grid === 0 ? SCHEDULED : `${SCHEDULED}:${grid}`

export const isScheduled = (origin: string | null): boolean =>
  origin === SCHEDULED || origin?.startsWith(`${SCHEDULED}:`) === true

/*
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
export type SeriesRow = Series & { readonly status: Brand.Brand<"SeriesTable"> }
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
