/**
 * What the reader process sends to the daemon: rows of cells that are bounded but not yet validated. Both sides load this module, so it
 * imports nothing.
 */
import type { OutboundTable } from "../exchange/ExchangeSchema.ts"

/** Replaces the value of a cell that was not loaded or not passed on. */
export const Refused = { wrongType: -1, tooLong: -2, notJson: -3 } as const

/** A row by column name. */
export type Cells = Readonly<Record<string, unknown>>

/** Rows of one table, in the order of the table; a table may come in many batches, or in none when it is empty. */
export interface OutboundBatch {
  readonly table: OutboundTable
  readonly rows: ReadonlyArray<Cells>
}

/** Sent after the last batch. */
export interface OutboundTotals {
  /** More rows or bytes than a container may write in one life. */
  readonly outgrown: boolean
  /** Rows of `session_state` in the file, those beyond the limit included. */
  readonly stateRows: number
  /** Number of the last row of `messages_out` that was sent, if more follow. Null: that was the last one. */
  readonly more: string | null
}
