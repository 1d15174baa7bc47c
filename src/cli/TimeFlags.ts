/** Lengths of time and instants as flags take them. */
import { Effect, Result } from "effect"
import { parseDuration } from "../domain/DurationText.ts"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { describeProblem } from "../domain/TextProblem.ts"
import { CommandError } from "./Root.ts"

/** Of a flag such as `--timeout 90s`, in milliseconds, above zero. */
export const durationOf = (flag: string, text: string): Effect.Effect<number, CommandError> => {
  const parsed = parseDuration(text)
  if (Result.isFailure(parsed)) {
    return Effect.fail(new CommandError({ message: `--${flag} ${describeProblem(text, parsed.failure)}` }))
  }
  return parsed.success > 0
    ? Effect.succeed(parsed.success)
    : Effect.fail(
        new CommandError({ message: `--${flag} ${text} is no time at all; write it as 90s or 10m` }),
      )
}

/** Of a flag such as `--at 2026-12-01T09:00:00Z`; without a zone it is UTC. */
export const instantOf = (flag: string, text: string): Effect.Effect<number, CommandError> => {
  const parsed = parseExchangeTime(text)
  return Result.isSuccess(parsed)
    ? Effect.succeed(parsed.success.at)
    : Effect.fail(
        new CommandError({
          message: `--${flag} ${text} is not an instant; write it as 2026-12-01T09:00:00Z`,
        }),
      )
}
