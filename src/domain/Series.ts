/**
 * A series: one row of truth for a task, with its schedule, policy, revision and indexed next slot. When the slot comes, one
 * transaction inserts the occurrence (or a run row that says why not) and advances `nextSlot`. The end of an occurrence arms
 * nothing, so a series can neither fork nor die, whatever its runs do.
 */
import { Schema } from "effect"
import { Address } from "./Address.ts"
import { GroupId, SeriesId, SessionId } from "./Ids.ts"
import { EpochMs, Millis } from "./Instant.ts"
import { Priority } from "./Message.ts"
import { CatchUpPolicy, OverlapPolicy, SeriesBounds, SeriesPolicy } from "./SeriesPolicy.ts"

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
