/** Why a text is refused: what a reader of one form finds, and how it is said. */
import { Result } from "effect"

export interface TextProblem {
  readonly reason: string
  /** Index in the text of the first character at fault, where one can be named. */
  readonly position: number | null
  /** What to write instead. */
  readonly remedy: string
}

export const refuseText = (
  reason: string,
  position: number | null,
  remedy: string,
): Result.Result<never, TextProblem> => Result.fail({ reason, position, remedy })

/** What was read begins `by` characters into what was given: positions count from the beginning of what was given. */
export const shifted = <A>(read: Result.Result<A, TextProblem>, by: number): Result.Result<A, TextProblem> =>
  Result.mapError(read, (problem) => ({
    ...problem,
    position: problem.position === null ? null : problem.position + by,
  }))

/** A message never quotes more of the input than this. */
export const MAX_QUOTED = 200

/** The whole sentence: what was given, what is wrong with it and where, and the remedy. */
export const describeProblem = (input: string, { position, reason, remedy }: TextProblem): string => {
  const at = position === null ? "" : ` (at character ${position + 1})`
  return `${JSON.stringify(input.slice(0, MAX_QUOTED))} is refused: ${reason}${at}. ${remedy}`
}
