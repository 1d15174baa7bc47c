/** Runs what somebody typed. Wrong words are answered in a line on stderr, with where the help is; help that was asked for is printed whole. */
import { Cause, Console, Effect, Exit } from "effect"
import { CliError, CliOutput, Command } from "effect/cli"
import { programFor } from "./CommandTable.ts"
import { explain } from "./Failure.ts"
import { interruptedExitCode } from "./Interruption.ts"
import { hints, withHints } from "./Invocation.ts"
import { oneLine } from "./Output.ts"

const WRONG_WORDS = 2

/** One line on stderr, with its hints as this person would type them; what is said before them stays as it is. */
const complain = (hinted: string, before = ""): Effect.Effect<void> =>
  Effect.flatMap(hints, (say) => Console.error(`lamplighter: ${oneLine(before + say(hinted))}`))

const presenter = CliOutput.layerPresenter({
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const said = event.errors.map(({ message }) => message).join("; ")
    return complain(`see '${[...event.commandPath, "--help"].join(" ")}'`, `${said}; `)
  },
})

/** The command that the words name. What goes wrong is told on stderr; `exitCodeOf` says the rest. */
export const runWords = (words: ReadonlyArray<string>) =>
  Effect.promise(() => programFor(words)).pipe(
    Effect.flatMap((program) => Command.runWith(program, { version: "0.1.0" })(words)),
    Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : report(cause))),
    Effect.provide(presenter),
    withHints(words),
    Effect.scoped,
  )

const failureOf = (cause: Cause.Cause<unknown>) => cause.reasons.find(Cause.isFailReason)

/** A failure that has a message is told in that message; a defect with everything that is known of it. */
const report = (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const failure = failureOf(cause)
  if (failure === undefined) return Console.error(Cause.pretty(cause))
  return CliError.isCliError(failure.error) ? Effect.void : complain(explain(failure.error))
}

export const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return interruptedExitCode()
  const error = failureOf(exit.cause)?.error
  if (!CliError.isCliError(error)) return 1
  return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : WRONG_WORDS
}
