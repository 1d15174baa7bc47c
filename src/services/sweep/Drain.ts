/**
 * Ingests what one life wrote, a few short transactions a turn: a container that wrote thousands of rows at once keeps no other session
 * waiting. What a crash leaves out is found again in the file, and what is in the ledger is known by its id.
 */
import { Effect } from "effect"
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
