/** The program: the commands, Node's services, and one place where a failure becomes an exit code and a line. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Effect, Exit } from "effect"
import { CliError, Command } from "effect/cli"
import { watchOutput } from "./ClosedOutput.ts"
import { cli } from "./Commands.ts"
import { explain } from "./Failure.ts"
import { interruptedExitCode } from "./Interruption.ts"

/** A failure that has a message is told in that message; a defect with everything that is known of it. */
const report = (cause: Cause.Cause<unknown>) =>
  Effect.sync(() => {
    const failure = cause.reasons.find((reason) => reason._tag === "Fail")
    if (failure === undefined) return void process.stderr.write(`${Cause.pretty(cause)}\n`)
    if (CliError.isCliError(failure.error)) return
    process.stderr.write(`lamplighter: ${explain(failure.error)}\n`)
  })

watchOutput()

Command.run(cli, { version: "0.1.0" }).pipe(
  Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : report(cause))),
  Effect.scoped,
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) =>
      onExit(Exit.isSuccess(exit) ? 0 : Cause.hasInterruptsOnly(exit.cause) ? interruptedExitCode() : 1),
  }),
)
