/**
 * Reads one bounded snapshot out of a private copy of outbound.db. Nothing here touches the container's file. Every question
 * has a limit, no value is loaded before its type and length are known, and a bad row is reported while the good ones go on.
 */
import Database from "better-sqlite3"
import { Result } from "effect"
import {
  type AckRow,
  type OutboundRow,
  Quarantined,
  type Reading,
  type ToolInFlight,
} from "../../services/Mailbox.ts"
import type { OutboundTable } from "./ExchangeSchema.ts"
import { inspect, type OutboundShape } from "./OutboundImage.ts"
import { OutboundLimits } from "./OutboundLimits.ts"
import { type Cells, decodeAck, decodeOutbound, decodeState, decodeTool, Refused } from "./OutboundRows.ts"

const limits = OutboundLimits

const textColumn = (column: string, bytes: number): string =>
  `CASE WHEN ${column} IS NULL THEN NULL WHEN typeof(${column}) <> 'text' THEN ${Refused.wrongType} ` +
  `WHEN octet_length(${column}) > ${bytes} THEN ${Refused.tooLong} ELSE ${column} END AS ${column}`

/** Whole numbers beyond 2^53 would arrive rounded, so they are refused with everything that is no number. */
const integerColumn = (column: string): string =>
  `CASE WHEN ${column} IS NULL THEN NULL WHEN typeof(${column}) = 'integer' AND ${column} BETWEEN ` +
  `${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER} THEN ${column} ELSE 'refused' END AS ${column}`

const ifPresent = (shape: OutboundShape, table: OutboundTable, column: string, expression: string): string =>
  shape[table].columns.has(column) ? expression : `NULL AS ${column}`

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

/** Counts what is loaded: rows that share pages could otherwise hold many times the file's size. */
class Budget {
  private left: number

  constructor(bytes: number) {
    this.left = bytes
  }

  spend(cells: Cells): void {
    for (const value of Object.values(cells)) if (typeof value === "string") this.left -= value.length
    if (this.left < 0) throw new Quarantined({ reason: "outbound.db: its rows hold more than the file" })
  }
}

/** What one reading carries from table to table. */
interface Pass {
  readonly database: Database.Database
  readonly shape: OutboundShape
  readonly budget: Budget
  readonly rejections: Rejections
}

const readAcks = ({ budget, database, rejections, shape }: Pass): ReadonlyArray<AckRow> => {
  const optional = (column: string, expression: string) =>
    ifPresent(shape, "processing_ack", column, expression)
  const statement = database.prepare<[], Cells>(
    `SELECT ${textColumn("message_id", limits.idBytes)}, ${textColumn("status", limits.wordBytes)},
      ${textColumn("status_changed", limits.wordBytes)}, ${optional("tries", integerColumn("tries"))},
      ${optional("outcome", textColumn("outcome", limits.wordBytes))},
      ${optional("detail", textColumn("detail", limits.detailBytes))}
    FROM processing_ack NOT INDEXED LIMIT ${limits.acks}`,
  )
  const acks: Array<AckRow> = []
  for (const cells of statement.iterate()) {
    budget.spend(cells)
    const row = decodeAck(cells)
    if (Result.isSuccess(row)) acks.push(row.success)
    else rejections.add("processing_ack", cells["message_id"], row.failure)
  }
  return acks
}

const readOutbound = (
  { budget, database, rejections }: Pass,
  seen: ReadonlySet<string>,
): ReadonlyArray<OutboundRow> => {
  const ids = database
    .prepare<[], Cells>(
      `SELECT rowid AS position, ${textColumn("id", limits.idBytes)}
      FROM messages_out NOT INDEXED LIMIT ${limits.outbound}`,
    )
    .all()
  const statement = database.prepare<[number], Cells>(
    `SELECT ${textColumn("id", limits.idBytes)}, ${integerColumn("seq")},
      ${textColumn("in_reply_to", limits.idBytes)}, ${textColumn("timestamp", limits.wordBytes)},
      ${textColumn("deliver_after", limits.wordBytes)}, ${textColumn("recurrence", limits.addressBytes)},
      ${textColumn("kind", limits.wordBytes)}, ${textColumn("platform_id", limits.addressBytes)},
      ${textColumn("channel_type", limits.addressBytes)}, ${textColumn("thread_id", limits.addressBytes)},
      ${textColumn("content", limits.contentBytes)}
    FROM messages_out NOT INDEXED WHERE rowid = ?`,
  )
  const rows: Array<OutboundRow> = []
  for (const { id, position } of ids) {
    if (typeof id === "string" && seen.has(id)) continue
    const cells = statement.get(position as number)
    if (cells === undefined) throw new Quarantined({ reason: "outbound.db: messages_out is malformed" })
    budget.spend(cells)
    const row = decodeOutbound(cells)
    if (Result.isSuccess(row)) rows.push(row.success)
    else rejections.add("messages_out", id, row.failure)
  }
  return rows.sort(
    (left, right) => (left.seq ?? Number.MAX_SAFE_INTEGER) - (right.seq ?? Number.MAX_SAFE_INTEGER),
  )
}

const readState = ({ budget, database, rejections, shape }: Pass): Reading["sessionState"] => {
  const statement = database.prepare<[], Cells>(
    `SELECT ${textColumn("key", limits.addressBytes)}, ${textColumn("value", limits.stateBytes)}
    FROM session_state NOT INDEXED LIMIT ${limits.stateRows}`,
  )
  const rows: Array<{ readonly key: string; readonly value: string }> = []
  let bytes = 0
  for (const cells of statement.iterate()) {
    budget.spend(cells)
    const row = decodeState(cells)
    if (Result.isFailure(row)) {
      rejections.add("session_state", cells["key"], row.failure)
      continue
    }
    bytes += Buffer.byteLength(row.success.key) + Buffer.byteLength(row.success.value)
    if (bytes <= limits.stateBytes) rows.push(row.success)
    else rejections.add("session_state", cells["key"], `over ${limits.stateBytes} bytes in all`)
  }
  if (shape.session_state.rows > limits.stateRows)
    rejections.add("session_state", "*", `only the first ${limits.stateRows} rows are kept`)
  return rows
}

const readTool = ({ budget, database, rejections, shape }: Pass): ToolInFlight | null => {
  const optional = (column: string, expression: string) =>
    ifPresent(shape, "container_state", column, expression)
  const cells = database
    .prepare<[], Cells>(
      `SELECT ${textColumn("current_tool", limits.addressBytes)},
        ${optional("tool_declared_timeout_ms", integerColumn("tool_declared_timeout_ms"))},
        ${optional("tool_started_at", textColumn("tool_started_at", limits.wordBytes))}
      FROM container_state NOT INDEXED WHERE id = 1 LIMIT 1`,
    )
    .get()
  if (cells === undefined) return null
  budget.spend(cells)
  const tool = decodeTool(cells)
  if (Result.isSuccess(tool)) return tool.success
  rejections.add("container_state", "1", tool.failure)
  return null
}

/** Reads what is in the copy, rows of `messages_out` in `seen` excepted. Throws `Quarantined` when it is not what the host made. */
export const readImage = (image: Buffer, seen: ReadonlySet<string>): Reading => {
  const shape = inspect(image)
  const database = new Database(image, { readonly: true })
  try {
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON")
    const rejections = new Rejections()
    const pass: Pass = { database, shape, rejections, budget: new Budget(image.length) }
    const acks = readAcks(pass)
    const outbound = readOutbound(pass, seen)
    const tool = readTool(pass)
    const sessionState = readState(pass)
    return {
      acks,
      outbound,
      tool,
      sessionState,
      rejected: rejections.done(),
      outgrown:
        image.length > limits.outgrownBytes ||
        shape.processing_ack.rows > limits.acks ||
        shape.messages_out.rows > limits.outbound,
    }
  } catch (error) {
    if (error instanceof Quarantined) throw error
    throw new Quarantined({ reason: `outbound.db: SQLite can't read it (${String(error)})` })
  } finally {
    database.close()
  }
}
