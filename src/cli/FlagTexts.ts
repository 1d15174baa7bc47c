/** What the texts of flags say. A text that can't be read is named with its flag. */
import { Effect, Result, Schema } from "effect"
import { parseDuration } from "../domain/DurationText.ts"
import { parseExchangeTime } from "../domain/ExchangeTime.ts"
import { describeIssue } from "../domain/SchemaProblem.ts"
import { describeProblem } from "../domain/TextProblem.ts"
import { type CommandError, refusal } from "./Root.ts"

/** Of a flag such as `--timeout 90s`, in milliseconds, above zero. */
export const durationOf = (flag: string, text: string): Effect.Effect<number, CommandError> =>
  Result.match(parseDuration(text), {
    onFailure: (problem) => refusal(`--${flag} ${describeProblem(text, problem)}`),
    onSuccess: (millis) =>
      millis > 0
        ? Effect.succeed(millis)
        : refusal(`--${flag} ${text} is no time at all; write it as 90s or 10m`),
  })

/** Of a flag such as `--at 2026-12-01T09:00:00Z`; without a zone it is UTC. */
export const instantOf = (flag: string, text: string): Effect.Effect<number, CommandError> =>
  Result.match(parseExchangeTime(text), {
    onFailure: () => refusal(`--${flag} ${text} is not an instant; write it as 2026-12-01T09:00:00Z`),
    onSuccess: ({ at }) => Effect.succeed(at),
  })

/** By a Schema or another reader; nothing where nothing was said. `complaint` follows a text that can't be read. */
export const readAs = <A>(
  flag: string,
  text: string | undefined,
  read: (text: string) => Effect.Effect<A, { readonly message: string }>,
  complaint = "can't be used",
): Effect.Effect<A | undefined, CommandError> =>
  text === undefined
    ? Effect.succeed(undefined)
    : Effect.mapError(read(text), ({ message }) => refusal(`--${flag} ${text} ${complaint}: ${message}`))

/** A reader of JSON that refuses what its Schema does not know, and says what it knows. */
export const jsonOf = <A>(schema: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(schema), { onExcessProperty: "error" })
  return (text: string) => Effect.mapError(decode(text), ({ issue }) => ({ message: describeIssue(issue) }))
}
