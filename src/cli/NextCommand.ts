/** `next`: when a schedule fires. Needs neither a daemon nor a data directory. */
import { text } from "./Flags.ts"
import { Clock, Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { describeSchedule, MAX_PREVIEW, parseSchedule, preview } from "../domain/Recurrence.ts"
import { describeProblem } from "../domain/TextProblem.ts"
import { parseZone } from "../domain/Zone.ts"
import { instant, show } from "./Output.ts"
import { CommandError, jsonFlag as json, orCommandError } from "./Root.ts"
import { localInstant } from "./TaskLines.ts"
import { instantOf } from "./TimeFlags.ts"

export const nextCommand = Command.make(
  "next",
  {
    schedule: Argument.String("schedule"),
    tz: Flag.String("tz").pipe(Flag.withDefault("UTC")),
    from: text("from", "After this instant; now if not said"),
    count: Flag.Int("count").pipe(Flag.withDefault(3)),
    json,
  },
  Effect.fn(function* (input) {
    const zone = yield* orCommandError(
      Result.mapError(parseZone(input.tz), (problem) => ({ message: describeProblem(input.tz, problem) })),
    )
    if (input.count < 1 || input.count > MAX_PREVIEW) {
      return yield* new CommandError({
        message: `--count ${input.count} is not between 1 and ${MAX_PREVIEW}`,
      })
    }
    const from = Option.isSome(input.from)
      ? yield* instantOf("from", input.from.value)
      : yield* Clock.currentTimeMillis
    const schedule = yield* orCommandError(parseSchedule(input.schedule, { zone, now: from }))
    const slots = preview(schedule, from, input.count)
    yield* show(input.json, { next: slots.map(instant) }, () => [
      `${describeSchedule(schedule)}:`,
      ...slots.map((slot) => localInstant(slot, zone)),
    ])
  }),
)
