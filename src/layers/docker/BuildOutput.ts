/** What an engine tells of a build: JSON, one object a line. Steps are passed on, the last lines kept, an error found. Bounded. */
import { Option, Schema } from "effect"

const MAX_LINE = 64 * 1024
/** Colours and the like. */
const TERMINAL_CODE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, "g")
const KEPT_LINES = 20
const KEPT_CHARACTERS = 300

export interface BuildOutput {
  /** Returns the steps that it tells of. */
  readonly feed: (bytes: Buffer) => ReadonlyArray<string>
  /** Why it failed; null: nothing said that it did. */
  readonly fault: () => string | null
  readonly lastLines: () => ReadonlyArray<string>
}

const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ stream: Schema.optional(Schema.String), error: Schema.optional(Schema.String) }),
  ),
)

export const makeBuildOutput = (): BuildOutput => {
  const lines: Array<string> = []
  let rest = ""
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

  const take = (line: string): void => {
    const { error, stream } = Option.getOrElse(decode(line), () => ({ error: undefined, stream: undefined }))
    if (stream !== undefined) keep(stream)
    if (error !== undefined) fault = error.trim().slice(0, KEPT_CHARACTERS * 4)
  }

  return {
    feed: (bytes) => {
      steps = []
      rest += bytes.toString("utf8")
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        take(rest.slice(0, end))
        rest = rest.slice(end + 1)
      }
      if (rest.length > MAX_LINE) rest = ""
      return steps
    },
    fault: () => {
      if (rest.trim() !== "") take(rest)
      rest = ""
      return fault
    },
    lastLines: () => lines,
  }
}
