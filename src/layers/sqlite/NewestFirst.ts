/**
 * Listings, newest first, of tables with a position and one column of few values (a state, a status, an outcome). Each value is
 * a range of an index that is in order of position already, so a page costs as many short ranges as there are values, and
 * never the history behind it.
 */
import type { Page } from "../../services/LedgerDriver.ts"
import type { Prepare, Table } from "./LedgerTables.ts"

/** Columns that must equal a value; undefined ones don't matter. */
export type Where = Readonly<Record<string, string | undefined>>

export const scopeOf = (where: Where) => Object.entries(where).filter(([, value]) => value !== undefined)

/** `before`: rows with a smaller position. */
type Listing<Row, Value> = (
  where: Where,
  values: ReadonlyArray<Value> | undefined,
  limit: Page["limit"],
  before?: number,
) => ReadonlyArray<Row>

/** The rows of one value: `source` is the table, with its index where that must be named; `condition` has no parameters. */
export interface Range {
  readonly source: string
  readonly condition: string
}

/** `all` are the values of the column; `rangesOf` says where those of one value lie, given the columns that are fixed. */
export const newestFirst = <Row, Value extends string>(
  prepare: Prepare,
  table: Table<Row>,
  all: ReadonlyArray<Value>,
  rangesOf: (value: Value, fixed: ReadonlyArray<string>) => ReadonlyArray<Range>,
): Listing<Row, Value> => {
  const everything = prepare(
    `SELECT ${table.select} FROM ${table.name} WHERE position < ? ORDER BY position DESC LIMIT ?`,
  )
  const byPosition = prepare(`SELECT ${table.select} FROM ${table.name} WHERE position = ?`)
  return (where, values, limit, before = Number.MAX_SAFE_INTEGER) => {
    const scope = scopeOf(where)
    if (scope.length === 0 && values === undefined) return everything.all(before, limit).map(table.decode)
    const names = scope.map(([name]) => name)
    const parameters = scope.map(([, value]) => value)
    const fixed = names.map((name) => `${name} >= '' AND ${name} = ? AND `).join("")
    const positionsIn = ({ source, condition }: Range) =>
      prepare(
        `SELECT position FROM ${source} WHERE ${fixed}${condition} AND position < ? ORDER BY position DESC LIMIT ?`,
      ).all(...parameters, before, limit) as Array<{ readonly position: number }>
    // Only values that exist reach the text of a statement.
    return all
      .filter((value) => values === undefined || values.includes(value))
      .flatMap((value) => rangesOf(value, names).flatMap(positionsIn))
      .sort((left, right) => right.position - left.position)
      .slice(0, limit)
      .map(({ position }) => table.decode(byPosition.get(position)))
  }
}
