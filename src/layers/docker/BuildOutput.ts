/** What an engine tells of a build: JSON, one object a line. Steps are passed on, the last lines kept, an error found. Bounded. */

const MAX_LINE = 64 * 1024
/** Colours and the like. */
const TERMINAL_CODE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, "g")
const KEPT_LINES = 20
const KEPT_CHARACTERS = 300

export interface BuildOutput {
  readonly feed: (bytes: Buffer) => void
  /** Why it failed; null: nothing said that it did. */
  readonly fault: () => string | null
  readonly lastLines: () => ReadonlyArray<string>
}

export const makeBuildOutput = (onStep: (step: string) => void): BuildOutput => {
  const lines: Array<string> = []
  let rest = ""
  let fault: string | null = null

  const keep = (text: string): void => {
    for (const line of text.split("\n")) {
      const shown = line
        .replaceAll(TERMINAL_CODE, "")
        .replaceAll(/\p{Cc}+/gu, " ")
        .trim()
      if (shown === "") continue
      if (/^step \d+\/\d+ ?: /i.test(shown)) onStep(shown.slice(0, KEPT_CHARACTERS))
      lines.push(shown.slice(0, KEPT_CHARACTERS))
      if (lines.length > KEPT_LINES) lines.shift()
    }
  }

  const take = (line: string): void => {
    let told: { readonly stream?: unknown; readonly error?: unknown; readonly status?: unknown }
    try {
      told = JSON.parse(line) as typeof told
    } catch {
      return
    }
    if (typeof told?.stream === "string") keep(told.stream)
    if (typeof told?.error === "string") fault = told.error.trim().slice(0, KEPT_CHARACTERS * 4)
  }

  return {
    feed: (bytes) => {
      rest += bytes.toString("utf8")
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        take(rest.slice(0, end))
        rest = rest.slice(end + 1)
      }
      if (rest.length > MAX_LINE) rest = ""
    },
    fault: () => {
      if (rest.trim() !== "") take(rest)
      rest = ""
      return fault
    },
    lastLines: () => lines,
  }
}
