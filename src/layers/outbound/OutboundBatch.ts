/**
 * What crosses from the reader process to the daemon: rows of cells that are bounded but not yet believed. Shared by both sides, so
 * it loads nothing.
 */
import type { OutboundTable } from "../exchange/ExchangeSchema.ts"

/** Stands where a cell's value was not loaded, or not handed on. */
export const Refused = { wrongType: -1, tooLong: -2, notJson: -3 } as const

/** A row by column name. */
export type Cells = Readonly<Record<string, unknown>>

/** Rows of one table, in the order of the table; a table may come in many batches, or in none when it is empty. */
export interface OutboundBatch {
  readonly table: OutboundTable
  readonly rows: ReadonlyArray<Cells>
}

/** What can be said when all batches are out. */
export interface OutboundTotals {
  /** More rows or bytes than a container may write in one life. */
  readonly outgrown: boolean
  /** Rows of `session_state` in the file, those beyond the limit included. */
  readonly stateRows: number
  /** Number of the last row of `messages_out` that was handed out, when there are more; null: that was all. */
  readonly more: string | null
}
