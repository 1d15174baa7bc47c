/** `next`: when a schedule fires. Needs neither a daemon nor a data directory. */
import { Clock, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { describeSchedule, MAX_PREVIEW, parseSchedule, preview } from "../domain/Recurrence.ts"
import { describeProblem } from "../domain/TextProblem.ts"
import { parseZone } from "../domain/Zone.ts"
import { given, text } from "./Flags.ts"
import { instant, show } from "./Output.ts"
import { asRefusal, jsonFlag as json, refusal } from "./Root.ts"
import { localInstant } from "./TaskLines.ts"
import { instantOf } from "./FlagTexts.ts"

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
    const { count, tz } = input
    const zone = yield* Effect.mapError(Effect.fromResult(parseZone(tz)), (problem) =>
      refusal(describeProblem(tz, problem)),
    )
    if (count < 1 || count > MAX_PREVIEW)
      return yield* refusal(`--count ${count} is not between 1 and ${MAX_PREVIEW}`)
    const { from: said } = given(input)
    const from = said === undefined ? yield* Clock.currentTimeMillis : yield* instantOf("from", said)
    const schedule = yield* Effect.mapError(
      Effect.fromResult(parseSchedule(input.schedule, { zone, now: from })),
      asRefusal,
    )
    const slots = preview(schedule, from, count)
    yield* show(input.json, { next: slots.map(instant) }, () => [
      `${describeSchedule(schedule)}:`,
      ...slots.map((slot) => localInstant(slot, zone)),
    ])
  }),
)
