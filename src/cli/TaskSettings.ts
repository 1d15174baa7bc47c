/** The flags by which `task add` and `task update` say what a task has beyond its schedule. docs/scheduling.md explains each. */
import { choice, counted, given, text } from "./Flags.ts"
import { Effect, Option, Result, Schema } from "effect"
import { type Command, Flag } from "effect/cli"
import { parseDuration } from "../domain/DurationText.ts"
import { Millis } from "../domain/Instant.ts"
import { PRIORITIES } from "../domain/Message.ts"
import { CatchUpPolicy, ContextPolicy, OverlapPolicy, SeriesBounds, SeriesPolicy } from "../domain/Series.ts"
import { CommandError } from "./Root.ts"
import { instantOf } from "./TimeFlags.ts"

const { fields: bound } = SeriesBounds
const { fields: policy } = SeriesPolicy

export const taskSettings = {
  overlap: choice(
    "overlap",
    OverlapPolicy.literals,
    "When a slot comes while the last occurrence has not ended",
  ),
  catchUp: choice("catch-up", CatchUpPolicy.literals, "Slots that passed while the daemon was down"),
  catchUpWindow: duration(
    "catch-up-window",
    policy.catchUpWindowMs,
    "Older slots are recorded as missed only",
  ),
  catchUpCap: counted("catch-up-cap", policy.catchUpCap, "With all: run the last so many at most"),
  stagger: duration("stagger", policy.staggerMs, "Between caught-up occurrences"),
  bufferLimit: counted("buffer-limit", policy.bufferLimit, "With buffer-all: so many wait at most"),
  pauseAfter: counted(
    "pause-after-failures",
    policy.pauseAfterFailures,
    "Pause after so many failed runs in a row",
  ),
  startToClose: duration("start-to-close", policy.startToCloseMs, "Cancel a run that takes longer"),
  context: choice("context", ContextPolicy.literals, "isolated: each run in a fresh session"),
  retention: duration(
    "isolated-retention",
    policy.isolatedRetentionMs,
    "Keep an isolated session this long after its run",
  ),
  retryLimit: counted("retry-limit", policy.retryLimit, "Retries of one run, in place of the group's"),
  retryBase: duration("retry-base", policy.retryBaseMs, "The first backoff of a retry"),
  ttl: duration("ttl", Millis, "A run that nothing claimed within this expires"),
  priority: choice("priority", ["low", "normal", "high"], "normal if not said"),
  start: text("start", "No slot before this instant"),
  end: text("end", "No slot after this instant"),
  maxRuns: counted("max-runs", bound.maxRuns, "So many runs in all, then it is completed"),
  exclude: text("exclude", "Dates without slots, e.g. 2026-12-25,2027-01-01"),
  jitter: duration(
    "jitter",
    bound.jitterMs,
    "Delay every run by the same share of this, which the task's id decides",
  ),
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

type Settings = Command.Command.Config.Infer<typeof taskSettings>

const exclusionsOf = (text: string): Effect.Effect<ReadonlyArray<string>, CommandError> =>
  Schema.decodeEffect(bound.exclusions)(text.split(",").filter((date) => date !== "")).pipe(
    Effect.mapError(
      (error) =>
        new CommandError({
          message: `--exclude ${text} is not a list of dates such as 2026-12-25,2027-01-01: ${error.message}`,
        }),
    ),
  )

/** The fields that the flags say, and no others. */
export const saidOf = Effect.fnUntraced(function* (input: Settings) {
  const bounds = {
    ...given({ maxRuns: input.maxRuns, jitterMs: input.jitter }),
    ...(Option.isSome(input.start) ? { startAt: yield* instantOf("start", input.start.value) } : {}),
    ...(Option.isSome(input.end) ? { endAt: yield* instantOf("end", input.end.value) } : {}),
    ...(Option.isSome(input.exclude) ? { exclusions: yield* exclusionsOf(input.exclude.value) } : {}),
  }
  const policy = given({
    catchUpWindowMs: input.catchUpWindow,
    catchUpCap: input.catchUpCap,
    staggerMs: input.stagger,
    bufferLimit: input.bufferLimit,
    pauseAfterFailures: input.pauseAfter,
    startToCloseMs: input.startToClose,
    context: input.context,
    isolatedRetentionMs: input.retention,
    retryLimit: input.retryLimit,
    retryBaseMs: input.retryBase,
  })
  return {
    ...given({ overlap: input.overlap, catchUp: input.catchUp, ttlMs: input.ttl }),
    ...(Option.isSome(input.priority) ? { priority: PRIORITIES[input.priority.value] } : {}),
    ...(Object.keys(bounds).length > 0 ? { bounds } : {}),
    ...(Object.keys(policy).length > 0 ? { policy } : {}),
  }
})
