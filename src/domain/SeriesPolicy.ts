/**
 * What a series may say beyond its schedule: the bounds of its slots (start, end, number of runs, excluded dates, jitter), and its
 * policies, named as Temporal and Kubernetes name them. Every field has a default, and the defaults are what most tasks want.
 */
import { Schema } from "effect"
import { count, partly } from "./Fields.ts"
import { EpochMs, Millis, DAY_MS } from "./Instant.ts"

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
