/** What an engine tells of a build: JSON, one object a line. Steps are passed on, the last lines kept, an error found. Bounded. */
import { Option, Schema } from "effect"
import { makeLineCutter } from "../runtime/LineCutter.ts"

const MAX_LINE_BYTES = 64 * 1024
/** Colours and the like. */
const TERMINAL_CODE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, "g")
const KEPT_LINES = 20
const KEPT_CHARACTERS = 300

const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ stream: Schema.optional(Schema.String), error: Schema.optional(Schema.String) }),
  ),
)

export const makeBuildOutput = () => {
  const lines: Array<string> = []
  let fault: string | null = null
  let steps: Array<string> = []

  const keep = (text: string): void => {
    for (const line of text.split("\n")) {
      const shown = line
        .replaceAll(TERMINAL_CODE, "")
        .replaceAll(/\p{Cc}+/gu, " ")
        .trim()
        .slice(0, KEPT_CHARACTERS)
      if (shown === "") continue
      if (/^step \d+\/\d+ ?: /i.test(shown)) steps.push(shown)
      lines.push(shown)
      if (lines.length > KEPT_LINES) lines.shift()
    }
  }

  const cutter = makeLineCutter((line) => {
    const { error, stream } = Option.getOrElse(decode(line), () => ({ error: undefined, stream: undefined }))
    if (stream !== undefined) keep(stream)
    if (error !== undefined) fault = error.trim().slice(0, KEPT_CHARACTERS * 4)
  }, MAX_LINE_BYTES)

  return {
    /** Returns the steps that it tells of. */
    feed: (bytes: Buffer): ReadonlyArray<string> => {
      steps = []
      cutter.feed(bytes)
      return steps
    },
    /** Why it failed; null: nothing said that it did. */
    fault: (): string | null => {
      cutter.end()
      return fault
    },
    lastLines: (): ReadonlyArray<string> => lines,
  }
}
