/**
 * Cuts what a container wrote into transactions that are short: one that wrote thousands of rows at once would keep the ledger, and
 * with it every other session, waiting. Rows come before the acks that were committed with them.
 */
import type { OutboundRow, Reading } from "./Mailbox.ts"

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
 * `first`: readings of outbound rows only, to be ingested in this order; they say nothing of claims, so none counts as given back.
 * `last`: the rest, with everything else.
 */
export const slicesOf = (
  reading: Reading,
): { readonly first: ReadonlyArray<Reading>; readonly last: Reading } => {
  const parts = cut(reading.outbound)
  return {
    first: parts.slice(0, -1).map((outbound) => ({
      acks: [],
      outbound,
      tool: null,
      sessionState: [],
      rejected: [],
      outgrown: true,
      newestAt: null,
    })),
    last: { ...reading, outbound: parts.at(-1) ?? [] },
  }
}
