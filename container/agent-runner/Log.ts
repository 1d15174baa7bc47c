/** The runner's log: stderr, one bounded line per entry. Stdout belongs to the doorbell. */

const MAX_LINE_CHARS = 2_000
/** A reader that is there takes the last lines within milliseconds. */
const LAST_LINES_MS = 500

/** `agent`: words of a program of the agent's. */
export type LogLevel = "info" | "warn" | "error" | "agent"

/** Line ends become `⏎`, so that text from messages and programs can't forge an entry. */
export const log = (level: LogLevel, text: string): void => {
  const line = text.replace(/[\r\n]+/g, " ⏎ ")
  const bounded = line.length <= MAX_LINE_CHARS ? line : `${line.slice(0, MAX_LINE_CHARS)}…`
  process.stderr.write(`${new Date().toISOString()} ${level} ${bounded}\n`)
}

/** When all lines are written, or nobody reads them: what waits in a full pipe is lost at the process's exit. */
export const logWritten = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, LAST_LINES_MS)
    process.stderr.write("", () => resolve())
  })

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
