/**
 * How commands print: JSON for programs, aligned columns for people. Instants are UTC, in ISO 8601, for people; whole milliseconds since
 * 1970 in JSON. What agents wrote can't move the cursor of a terminal or recolour what stands there.
 */
import { Console, Effect } from "effect"

export const show = (
  asJson: boolean,
  value: unknown,
  lines: () => ReadonlyArray<string>,
): Effect.Effect<void> =>
  asJson
    ? Console.log(JSON.stringify(value, null, 2))
    : Effect.forEach(lines(), (line) => Console.log(printable(line)), { discard: true })

export const instant = (at: number | null): string => (at === null ? "-" : new Date(at).toISOString())

/** One line per row, the columns aligned. */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
): ReadonlyArray<string> => {
  const all = [header, ...rows].map((row) => row.map(oneLine))
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  )
}

/** Every field of a record, one a line. */
export const fields = (record: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  Object.entries(record).map(
    ([name, value]) =>
      `${name}: ${typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)}`,
  )

/** Control characters, and those that turn the direction of what follows. */
const unsafe = /[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu
const unsafeInText = /(?![\n\t])[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu

/** Without control characters, line breaks included. */
export const oneLine = (text: string): string => text.replaceAll(unsafe, " ")

/** Without control characters but line breaks and tabs. */
export const printable = (text: string): string => text.replaceAll(unsafeInText, " ")

/** What people see of a row's content: its text if it has one. */
export const contentText = (content: string): string => {
  const parsed: unknown = JSON.parse(content)
  return typeof parsed === "object" && parsed !== null && "text" in parsed ? String(parsed.text) : content
}
