/** Adds a runner's last line to its exit, because the exit code alone does not say what to do. */
import { Effect } from "effect"
import type { ObservedExit } from "../domain/Incarnation.ts"
import { type ContainerRef, ContainerRuntime } from "./ContainerRuntime.ts"

/** The exit codes of a runner that can't work: a fault of its own, a file that it can't write, a wrong configuration. */
const TELLING_CODES: ReadonlySet<number | null> = new Set([70, 74, 78])
const READ_BYTES = 16 * 1024
const MAX_CHARS = 300

/** Without the time and level at the start of our runner's lines, so that the same fault gives the same reason each time. */
const lastLineOf = (stderr: string): string | undefined =>
  stderr
    .trimEnd()
    .split("\n")
    .at(-1)
    ?.replace(/^\S+Z (?:error|warn|info) /, "")
    .replaceAll(/\p{Cc}+/gu, " ")
    .slice(0, MAX_CHARS)
    .trim()

/** The exit, with the runner's last line if there is one. Output that can't be read is ignored. */
export const withLastWords = Effect.fnUntraced(function* (exit: ObservedExit, ref: ContainerRef | null) {
  if (ref === null || !TELLING_CODES.has(exit.exitCode)) return exit
  const output = yield* Effect.option((yield* ContainerRuntime).output(ref, READ_BYTES))
  const lastWords = output._tag === "Some" ? lastLineOf(output.value.stderr) : undefined
  return lastWords === undefined || lastWords === "" ? exit : { ...exit, lastWords }
})
