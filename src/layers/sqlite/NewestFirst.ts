/**
 * Listings, newest first, of tables with a position and one column of few values (a state, a status, an outcome). Each value is
 * a range of an index that is in order of position already, so a page costs as many short ranges as there are values, and
 * never the history behind it.
 */
import type { Page } from "../../services/LedgerDriver.ts"
import type { Prepare } from "./LedgerReads.ts"
import type { Table } from "./LedgerTables.ts"

export interface Listing<Value extends string> {
  /** Columns that must equal a value; undefined ones don't matter. */
  readonly where: ReadonlyArray<readonly [column: string, value: string | undefined]>
  readonly values: ReadonlyArray<Value> | undefined
  /** Rows with a smaller position. */
  readonly before: number | undefined
  readonly limit: Page["limit"]
}

/** `column` is the one of few values, `all` are its values. */
export const newestFirst = <Row, Value extends string>(
  prepare: Prepare,
  table: Table<Row>,
  column: string,
  all: ReadonlyArray<Value>,
): ((listing: Listing<Value>) => ReadonlyArray<Row>) => {
  const everything = prepare(
    `SELECT ${table.select} FROM ${table.name} WHERE position < ? ORDER BY position DESC LIMIT ?`,
  )
  const byPosition = prepare(`SELECT ${table.select} FROM ${table.name} WHERE position = ?`)
  return ({ where, values, before = Number.MAX_SAFE_INTEGER, limit }) => {
    const scope = where.filter(([, value]) => value !== undefined)
    if (scope.length === 0 && values === undefined) return everything.all(before, limit).map(table.decode)
    const conditions = [...scope.map(([name]) => name), column]
      .map((name) => (name === "series_id" ? "series_id >= '' AND series_id = ?" : `${name} = ?`))
      .join(" AND ")
    const positions = prepare(
      `SELECT position FROM ${table.name} WHERE ${conditions} AND position < ? ORDER BY position DESC LIMIT ?`,
    )
    const scopeValues = scope.map(([, value]) => value)
    return [...new Set(values ?? all)]
      .flatMap((value) => positions.all(...scopeValues, value, before, limit) as Array<{ position: number }>)
      .sort((left, right) => right.position - left.position)
      .slice(0, limit)
      .map(({ position }) => table.decode(byPosition.get(position)))
  }
}
