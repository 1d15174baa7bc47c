/** The flags by which `task add` and `task update` say what a task has beyond its schedule. docs/scheduling.md explains each. */
import { Effect, Option, Result, Schema } from "effect"
import { Flag } from "effect/cli"
import { parseDuration } from "../domain/DurationText.ts"
import { Millis } from "../domain/Instant.ts"
import { PRIORITIES } from "../domain/Message.ts"
import * as Domain from "../domain/Series.ts"
import { choice, counted, type Said, text, wordsOf } from "./Flags.ts"
import { instantOf, readAs } from "./FlagTexts.ts"

const { fields: bound } = Domain.SeriesBounds
const { fields: policy } = Domain.SeriesPolicy

export const taskSettings = {
  overlap: choice(
    "overlap",
    Domain.OverlapPolicy.literals,
    "When a slot comes while the last occurrence has not ended",
  ),
  catchUp: choice("catch-up", Domain.CatchUpPolicy.literals, "Slots that passed while the daemon was down"),
  policy: {
    catchUpWindowMs: duration(
      "catch-up-window",
      policy.catchUpWindowMs,
      "Older slots are recorded as missed only",
    ),
    catchUpCap: counted("catch-up-cap", policy.catchUpCap, "With all: run the last so many at most"),
    staggerMs: duration("stagger", policy.staggerMs, "Between caught-up occurrences"),
    bufferLimit: counted("buffer-limit", policy.bufferLimit, "With buffer-all: so many wait at most"),
    pauseAfterFailures: counted(
      "pause-after-failures",
      policy.pauseAfterFailures,
      "Pause after so many failed runs in a row",
    ),
    startToCloseMs: duration("start-to-close", policy.startToCloseMs, "Cancel a run that takes longer"),
    context: choice("context", Domain.ContextPolicy.literals, "isolated: each run in a fresh session"),
    isolatedRetentionMs: duration(
      "isolated-retention",
      policy.isolatedRetentionMs,
      "Keep an isolated session this long after its run",
    ),
    retryLimit: counted("retry-limit", policy.retryLimit, "Retries of one run, in place of the group's"),
    retryBaseMs: duration("retry-base", policy.retryBaseMs, "The first backoff of a retry"),
  },
  ttlMs: duration("ttl", Millis, "A run that nothing claimed within this expires"),
  priority: Flag.map(
    choice("priority", ["low", "normal", "high"], "normal if not said"),
    Option.map((priority) => PRIORITIES[priority]),
  ),
  bounds: {
    start: text("start", "No slot before this instant"),
    end: text("end", "No slot after this instant"),
    maxRuns: counted("max-runs", bound.maxRuns, "So many runs in all, then it is completed"),
    exclude: text("exclude", "Dates without slots, e.g. 2026-12-25,2027-01-01"),
    jitterMs: duration(
      "jitter",
      bound.jitterMs,
      "Delay every run by the same share of this, which the task's id decides",
    ),
  },
}

function duration<A extends number | null>(
  name: string,
  range: Schema.Codec<A, number | null>,
  description: string,
) {
  return Flag.String(name).pipe(
    Flag.filterMap(
      (text) => Result.getSuccess(parseDuration(text)),
      (text) => `--${name} ${text} is not a length of time; write it as 90s or 2h`,
    ),
    Flag.withSchema(range),
    Flag.withDescription(`${description}, e.g. 90s or 2h`),
    Flag.optional,
  )
}

const decodeDates = Schema.decodeEffect(bound.exclusions)

/** The fields that the flags say, and no others. */
export const saidOf = Effect.fnUntraced(function* (said: Said<typeof taskSettings>) {
  const { end, exclude, start, ...counts } = said.bounds
  const exclusions = yield* readAs(
    "exclude",
    exclude,
    (text) => decodeDates(wordsOf(text)),
    "is not a list of dates such as 2026-12-25,2027-01-01",
  )
  return {
    ...said,
    bounds: {
      ...counts,
      ...(start === undefined ? {} : { startAt: yield* instantOf("start", start) }),
      ...(end === undefined ? {} : { endAt: yield* instantOf("end", end) }),
      ...(exclusions === undefined ? {} : { exclusions }),
    },
  }
})
