/**
 * How commands print: JSON for programs, aligned columns for people. Instants are UTC, in ISO 8601, for people; whole milliseconds since
 * 1970 in JSON. On a terminal, what agents wrote can't move the cursor or recolour what stands there: it is shown as escapes.
 */
import { Console, Context, Effect } from "effect"

/** What the output goes to: `--raw` makes a terminal a pipe. */
export const Screen = Context.Reference<"terminal" | "pipe">("lamplighter/cli/Screen", {
  defaultValue: () => (process.stdout.isTTY ? "terminal" : "pipe"),
})

/** Control characters but line breaks and tabs, and those that turn the direction of what follows. */
const unsafe = /(?![\n\t])[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu

/** With control characters as escapes, such as \u001b; JSON remains the same JSON. */
export const escaped = (text: string): string =>
  text.replaceAll(unsafe, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Without line breaks, for a cell of a table. */
export const oneLine = (text: string): string =>
  escaped(text.replaceAll(/\s+/g, (space) => (/[\r\n\t]/.test(space) ? " " : space)))

/** One text, which may have several lines. */
export const print = (text: string): Effect.Effect<void> =>
  Effect.flatMap(Screen, (screen) => Console.log(screen === "terminal" ? escaped(text) : text))

export const show = (
  asJson: boolean,
  value: unknown,
  lines: () => ReadonlyArray<string>,
): Effect.Effect<void> =>
  asJson ? print(JSON.stringify(value, null, 2)) : Effect.forEach(lines(), print, { discard: true })

export const instant = (at: number | null): string => (at === null ? "-" : new Date(at).toISOString())

/** One line per row, the columns aligned: each has its heading, and what it shows of a row. */
export const table = <Row>(
  rows: ReadonlyArray<Row>,
  columns: Readonly<Record<string, (row: Row) => string>>,
): ReadonlyArray<string> => {
  const cells = rows.map((row) => Object.values(columns).map((column) => oneLine(column(row))))
  const all = [Object.keys(columns), ...cells]
  const widths = Object.keys(columns).map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  )
}

/** Every field of a record, one a line, its instants as people read them. */
export const fields = (record: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  Object.entries(record).map(([name, value]) => `${name}: ${fieldText(name, value)}`)

const isInstant = /(?:At|NotBefore|[sS]lot)$/

const fieldText = (name: string, value: unknown): string => {
  if (value === null) return "-"
  if (typeof value === "number" && isInstant.test(name)) return value === 0 ? "-" : instant(value)
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}
