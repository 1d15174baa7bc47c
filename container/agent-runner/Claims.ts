/**
 * `processing_ack`: what the runner says about each message. A claim that vanishes was given back; a claim of a row with more
 * tries overwrites the ack of the last one, so `tries` always says which offer an ack answers.
 */
import type { DatabaseSync } from "node:sqlite"
import { formatInstant } from "./ExchangeTime.ts"
import type { InboundMessage } from "./Inbox.ts"

export type Claimed = Pick<InboundMessage, "id" | "tries">

/**
 * How a claim ended. `result` and `error` are cut to what a run record shows. `turn`: the oldest of several messages that one turn
 * answered. Its answer names that one as `in_reply_to`, so each ack names it too, and the host knows to whom the answer belongs.
 */
export type Ending =
  | { readonly kind: "completed"; readonly result: string | null; readonly turn?: string }
  | { readonly kind: "skipped"; readonly result: string | null; readonly error: string | null }
  | { readonly kind: "failed"; readonly error: string; readonly retryable: boolean }

/** The fields of every kind of ending. */
type Detail = Partial<Record<"error" | "result", string | null>> & {
  readonly retryable?: boolean
  readonly turn?: string
}

const MAX_RESULT_CHARS = 500
const MAX_ERROR_CHARS = 2_000

/** Deletes the claims that an earlier process left behind. Writes nothing if there are none. */
export const clearStale = (database: DatabaseSync): number =>
  Number(database.prepare("DELETE FROM processing_ack WHERE status = 'processing'").run().changes)

export const claim = (database: DatabaseSync, rows: ReadonlyArray<Claimed>, atMs: number): void => {
  const put = putAck(database)
  for (const row of rows) put.run(row.id, "processing", formatInstant(atMs), row.tries, null, null)
}

export const end = (
  database: DatabaseSync,
  rows: ReadonlyArray<Claimed>,
  ending: Ending,
  atMs: number,
): void => {
  const put = putAck(database)
  const status = ending.kind === "failed" ? "failed" : "completed"
  const outcome = ending.kind === "skipped" ? "skipped" : null
  const detail = JSON.stringify(detailOf(ending))
  for (const row of rows) put.run(row.id, status, formatInstant(atMs), row.tries, outcome, detail)
}

/** Gives claims back: no try is spent. */
export const release = (database: DatabaseSync, rows: ReadonlyArray<Claimed>): void => {
  const remove = database.prepare("DELETE FROM processing_ack WHERE message_id = ? AND status = 'processing'")
  for (const row of rows) remove.run(row.id)
}

/** The `tries` of a row's ack: null where the ack has none, undefined where there is no ack. */
export const ackedTries = (database: DatabaseSync, id: string): number | null | undefined => {
  const row = database.prepare("SELECT tries FROM processing_ack WHERE message_id = ?").get(id)
  if (row === undefined) return undefined
  return row["tries"] === null ? null : Number(row["tries"])
}

const putAck = (database: DatabaseSync) =>
  database.prepare(
    `INSERT INTO processing_ack (message_id, status, status_changed, tries, outcome, detail) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (message_id) DO UPDATE SET status = excluded.status, status_changed = excluded.status_changed,
       tries = excluded.tries, outcome = excluded.outcome, detail = excluded.detail`,
  )

/** What is undefined is left out of the JSON. */
const detailOf = ({ error, result, retryable, turn }: Detail): Readonly<Record<string, unknown>> => ({
  retryable,
  result: result?.slice(0, MAX_RESULT_CHARS),
  error: error?.slice(0, MAX_ERROR_CHARS),
  turn,
})
