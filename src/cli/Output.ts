/** How commands print: JSON for programs, aligned columns for people. Instants are UTC, in ISO 8601, in both. */
import { Console, Effect } from "effect"

export const show = (
  asJson: boolean,
  value: unknown,
  lines: () => ReadonlyArray<string>,
): Effect.Effect<void> =>
  asJson
    ? Console.log(JSON.stringify(value, null, 2))
    : Effect.forEach(lines(), (line) => Console.log(line), { discard: true })

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

/** An agent's text reaches a terminal: without control characters it can't move the cursor or recolour what stands there. */
const oneLine = (cell: string): string => cell.replaceAll(/\p{Cc}+/gu, " ")

/** What people see of a row's content: its text if it has one. */
export const contentText = (content: string): string => {
  const parsed: unknown = JSON.parse(content)
  const text =
    typeof parsed === "object" && parsed !== null && "text" in parsed ? String(parsed.text) : content
  return text.replaceAll(/[^\P{Cc}\n\t]+/gu, " ")
}
