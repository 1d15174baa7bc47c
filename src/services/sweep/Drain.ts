/**
 * Ingests what one life wrote, a few short transactions a turn: a container that wrote thousands of rows at once keeps no other session
 * waiting. What a crash leaves out is found again in the file, and what is in the ledger is known by its id.
 */
import { Effect } from "effect"
import { emptyReading, type OutboundRow, type Reading } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import type { Backlog, Member } from "./Fleet.ts"

/** Transactions of one turn; the rest waits for the next one. */
const MAX_SLICES = 2

/** `more`: it wrote more than one turn takes, and its next turn should come at once. */
export type News = "news" | "nothing" | "more"

/**
 * `left`: what waits for another turn; null: nothing does. The last part goes in with the others, unless the life has ended: then it is
 * kept for the transaction that ends it.
 */
export const drain = Effect.fnUntraced(function* ({ files, life, pair }: Member, backlog: Backlog) {
  const store = yield* SessionStore
  const parts = life._tag === "Dead" ? backlog.slices : [...backlog.slices, backlog.last]
  let news: News = "nothing"
  for (const part of parts.slice(0, MAX_SLICES)) {
    const of = { sessionId: pair.sessionId, number: pair.incarnation }
    if ((yield* store.ingest(of, part)).news === "news") news = "news"
    for (const row of part.outbound) files.seen.add(row.id)
  }
  const left = parts.length > MAX_SLICES ? { ...backlog, slices: backlog.slices.slice(MAX_SLICES) } : null
  return { news, left }
})

/** Some ten milliseconds of the ledger's time: a row that is sent costs 30 µs, a system action up to 1 ms, a megabyte some 10 ms. */
const ROWS = 200
const SYSTEM_ROWS = 10
const CHARS = 256 * 1024

const cut = (rows: ReadonlyArray<OutboundRow>): ReadonlyArray<ReadonlyArray<OutboundRow>> => {
  const parts: Array<ReadonlyArray<OutboundRow>> = []
  let part: Array<OutboundRow> = []
  let system = 0
  let chars = 0
  for (const row of rows) {
    if (part.length >= ROWS || system >= SYSTEM_ROWS || chars >= CHARS) {
      parts.push(part)
      part = []
      system = 0
      chars = 0
    }
    chars += row.content.length
    part.push(row)
    if (row.kind === "system") system += 1
  }
  return [...parts, part]
}

/**
 * What was read, as it is ingested, in slices. `slices`: readings of outbound rows only, in this order; they say nothing of claims, so none
 * counts as given back. Rows come before the acks that were committed with them. `last`: the rest, with everything else.
 */
export const slicesOf = (reading: Reading): Pick<Backlog, "slices" | "last"> => {
  const parts = cut(reading.outbound)
  return {
    slices: parts.slice(0, -1).map((outbound) => ({ ...emptyReading, outbound, outgrown: true })),
    last: { ...reading, outbound: parts.at(-1) ?? [] },
  }
}
