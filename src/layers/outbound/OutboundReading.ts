/**
 * Builds a reading from the reader's cells, batch by batch, so that no turn of the event loop decodes more than one batch. Bad rows are
 * reported and the good ones are kept. Pure: no files, no database.
 */
import { Result } from "effect"
import type { EpochMs } from "../../domain/Instant.ts"
import type { AckRow, OutboundRow, Reading, ToolInFlight } from "../../services/Mailbox.ts"
import type { OutboundTable } from "../exchange/ExchangeSchema.ts"
import type { Cells, OutboundBatch, OutboundTotals } from "./OutboundBatch.ts"
import { OutboundLimits } from "./OutboundLimits.ts"
import { decodeAck, decodeOutbound, decodeState, decodeTool } from "./OutboundRows.ts"

const limits = OutboundLimits

const bySeq = (left: OutboundRow, right: OutboundRow): number =>
  (left.seq ?? Number.MAX_SAFE_INTEGER) - (right.seq ?? Number.MAX_SAFE_INTEGER)

/** Collects refused rows up to a limit, and says at the end how many more there were. */
class Rejections {
  private readonly rows: Array<Reading["rejected"][number]> = []
  private more = 0

  add(table: OutboundTable, id: unknown, reason: string): void {
    if (this.rows.length < limits.rejected) {
      const shown = typeof id === "string" ? id.slice(0, limits.idBytes) : "?"
      this.rows.push({ table, id: shown, reason })
    } else this.more++
  }

  done(): Reading["rejected"] {
    if (this.more === 0) return this.rows
    return [...this.rows, { table: "*", id: "*", reason: `${this.more} more rows were refused` }]
  }
}

/** Takes batches in any number, then the totals, and gives the reading. One collector per reading. */
export interface OutboundCollector {
  readonly add: (batch: OutboundBatch) => void
  readonly done: (totals: OutboundTotals) => Reading
}

export const makeOutboundCollector = (): OutboundCollector => {
  const rejections = new Rejections()
  const acks: Array<AckRow> = []
  const outbound: Array<OutboundRow> = []
  const sessionState: Array<Reading["sessionState"][number]> = []
  let stateBytes = 0
  let tool: ToolInFlight | null = null
  let newestAt: EpochMs | null = null
  // Not messages: those that the host itself carried over from an earlier life are dated by its own clock.
  const dated = (at: EpochMs | null) => {
    if (at !== null && at > (newestAt ?? -1)) newestAt = at
  }

  const accept = <A>(
    table: OutboundTable,
    id: unknown,
    row: Result.Result<A, string>,
    keep: (row: A) => void,
  ) => {
    if (Result.isSuccess(row)) keep(row.success)
    else rejections.add(table, id, row.failure)
  }

  const take: Readonly<Record<OutboundTable, (cells: Cells) => void>> = {
    processing_ack: (cells) =>
      accept("processing_ack", cells["message_id"], decodeAck(cells), (row) => {
        acks.push(row)
        dated(row.changedAt)
      }),
    messages_out: (cells) =>
      accept("messages_out", cells["id"], decodeOutbound(cells), (row) => outbound.push(row)),
    container_state: (cells) =>
      accept("container_state", "1", decodeTool(cells), (row) => {
        tool = row.tool
        dated(row.updatedAt)
      }),
    session_state: (cells) =>
      accept("session_state", cells["key"], decodeState(cells), (row) => {
        stateBytes += Buffer.byteLength(row.key) + Buffer.byteLength(row.value)
        if (stateBytes <= limits.stateBytes) sessionState.push(row)
        else rejections.add("session_state", row.key, `over ${limits.stateBytes} bytes in all`)
      }),
  }

  return {
    add: ({ rows, table }) => rows.forEach(take[table]),
    done: ({ outgrown, stateRows }) => {
      if (stateRows > limits.stateRows)
        rejections.add("session_state", "*", `only the first ${limits.stateRows} rows are kept`)
      return {
        acks,
        outbound: outbound.sort(bySeq),
        tool,
        sessionState,
        rejected: rejections.done(),
        outgrown,
        newestAt,
      }
    },
  }
}

/** Adds the outbound rows of the next part. Everything else was in the first part. */
export const joinReadings = (first: Reading, next: Reading): Reading => ({
  ...first,
  outbound: [...first.outbound, ...next.outbound].slice(0, limits.outbound).sort(bySeq),
  rejected: [...first.rejected, ...next.rejected].slice(0, limits.rejected + 1),
  outgrown: first.outgrown || next.outgrown || first.outbound.length + next.outbound.length > limits.outbound,
})
