/** The runner's log: stderr, one bounded line per entry. Stdout belongs to the doorbell. */

const MAX_LINE_CHARS = 2_000

export type LogLevel = "info" | "warn" | "error"

/** Line ends become `⏎`, so that text from messages and programs can't forge an entry. */
export const log = (level: LogLevel, text: string): void => {
  const line = text.replace(/[\r\n]+/g, " ⏎ ")
  const bounded = line.length <= MAX_LINE_CHARS ? line : `${line.slice(0, MAX_LINE_CHARS)}…`
  process.stderr.write(`${new Date().toISOString()} ${level} ${bounded}\n`)
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
