/** The runner's log: stderr, one bounded line per entry. Stdout belongs to the doorbell. */

const MAX_LINE_CHARS = 2_000
/** If somebody reads the log, the last lines are gone within milliseconds. */
const LAST_LINES_MS = 500

/** `agent`: a line that one of the agent's programs wrote. */
export type LogLevel = "info" | "warn" | "error" | "agent"

/** Line ends become `⏎`, so that no text can forge a log entry. */
export const log = (level: LogLevel, text: string): void => {
  const line = text.replace(/[\r\n]+/g, " ⏎ ")
  const bounded = line.length <= MAX_LINE_CHARS ? line : `${line.slice(0, MAX_LINE_CHARS)}…`
  process.stderr.write(`${new Date().toISOString()} ${level} ${bounded}\n`)
}

/** Resolves when all lines are written, or when nobody reads them. Lines in a full pipe would be lost at exit. */
export const logWritten = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, LAST_LINES_MS)
    process.stderr.write("", () => resolve())
  })

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
