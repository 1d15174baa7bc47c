/**
 * Extracts the rows of a private copy of outbound.db as bounded cells: text within its limit, safe integers, null, or a mark where a
 * value was not loaded. Every query has a limit, and no value is loaded before its type and length are known. Runs in the reader process;
 * `OutboundReading` decodes the cells in the daemon.
 */
import Database from "better-sqlite3"
import { parseJson } from "../JsonText.ts"
import type { OutboundTable } from "../exchange/ExchangeSchema.ts"
import { type Cells, type OutboundBatch, type OutboundTotals, Refused } from "./OutboundBatch.ts"
import { inspect, type OutboundShape } from "./OutboundImage.ts"
import { OutboundLimits } from "./OutboundLimits.ts"
import { quarantine } from "./OutboundRefusal.ts"

const limits = OutboundLimits
/** A batch is sent when it holds about this much text, so that the daemon parses it within a few milliseconds. */
const BATCH_CHARS = 128 * 1024
const BATCH_ROWS = 500
/** One part holds about this much text of outbound rows, which takes a slow machine some hundred milliseconds. */
const PART_CHARS = 2 * 1024 * 1024

const textColumn = (column: string, bytes: number): string =>
  `CASE WHEN ${column} IS NULL THEN NULL WHEN typeof(${column}) <> 'text' THEN ${Refused.wrongType} ` +
  `WHEN octet_length(${column}) > ${bytes} THEN ${Refused.tooLong} ELSE ${column} END AS ${column}`

/** Whole numbers beyond 2^53 would arrive rounded, so they are refused with everything that is no number. */
const integerColumn = (column: string): string =>
  `CASE WHEN ${column} IS NULL THEN NULL WHEN typeof(${column}) = 'integer' AND ${column} BETWEEN ` +
  `${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER} THEN ${column} ELSE 'refused' END AS ${column}`

/** What is taken of each table: texts with their limit in bytes, and whole numbers. */
const TAKEN: Readonly<Record<OutboundTable, Readonly<Record<string, number | "integer">>>> = {
  processing_ack: {
    message_id: limits.idBytes,
    status: limits.wordBytes,
    status_changed: limits.wordBytes,
    tries: "integer",
    outcome: limits.wordBytes,
    detail: limits.detailBytes,
  },
  messages_out: {
    id: limits.idBytes,
    seq: "integer",
    in_reply_to: limits.idBytes,
    timestamp: limits.wordBytes,
    deliver_after: limits.wordBytes,
    recurrence: limits.addressBytes,
    kind: limits.wordBytes,
    platform_id: limits.addressBytes,
    channel_type: limits.addressBytes,
    thread_id: limits.addressBytes,
    content: limits.contentBytes,
  },
  session_state: { key: limits.addressBytes, value: limits.stateBytes },
  container_state: {
    current_tool: limits.addressBytes,
    tool_declared_timeout_ms: "integer",
    tool_started_at: limits.wordBytes,
    updated_at: limits.wordBytes,
  },
}

/** A column that the file lacks reads as null. */
const selectSql = (table: OutboundTable, shape: OutboundShape): string => {
  const columns = Object.entries(TAKEN[table]).map(([column, bytes]) =>
    !shape[table].columns.has(column)
      ? `NULL AS ${column}`
      : bytes === "integer"
        ? integerColumn(column)
        : textColumn(column, bytes),
  )
  return `SELECT ${columns.join(", ")} FROM ${table} NOT INDEXED`
}

const charsOf = (cells: Cells): number => {
  let chars = 0
  for (const value of Object.values(cells)) if (typeof value === "string") chars += value.length
  return chars
}

/** Sends rows in batches and counts what was loaded, because rows that share pages could add up to many times the file's size. */
const makeOutlet = (imageBytes: number, emit: (batch: OutboundBatch) => void) => {
  let left = imageBytes
  let rows: Array<Cells> = []
  let chars = 0
  let handedOut = 0
  const flush = (table: OutboundTable) => {
    if (rows.length > 0) emit({ table, rows })
    rows = []
    chars = 0
  }
  const add = (table: OutboundTable, cells: Cells) => {
    const size = charsOf(cells)
    left -= size
    if (left < 0) quarantine("outbound.db: its rows hold more than the file")
    rows.push(cells)
    chars += size
    handedOut += size
    if (chars >= BATCH_CHARS || rows.length >= BATCH_ROWS) flush(table)
  }
  return { add, flush, handedOut: () => handedOut }
}

/** What one reading carries from table to table. */
interface Pass {
  readonly database: Database.Database
  readonly shape: OutboundShape
  readonly outlet: ReturnType<typeof makeOutlet>
}

const takeRows = ({ database, outlet, shape }: Pass, table: OutboundTable, which: string): void => {
  const statement = database.prepare<[], Cells>(`${selectSql(table, shape)} ${which}`)
  for (const cells of statement.iterate()) outlet.add(table, cells)
  outlet.flush(table)
}

/** Validates the JSON here rather than in the daemon, because a megabyte of brackets takes long to parse. */
const checkContent = (cells: Cells): Cells => {
  const { content } = cells
  if (typeof content !== "string") return cells
  try {
    parseJson(content)
    return cells
  } catch {
    return { ...cells, content: Refused.notJson }
  }
}

/** What is known already, and where the part before this one ended. */
export interface Wanted {
  readonly seen: ReadonlySet<string>
  readonly from: string | null
}

/** Row numbers are text here: SQLite's have 64 bits. */
const takeOutbound = ({ database, outlet, shape }: Pass, { from, seen }: Wanted): string | null => {
  const ids = database
    .prepare<Array<string>, Cells>(
      `SELECT CAST(rowid AS TEXT) AS position, ${textColumn("id", limits.idBytes)}
      FROM messages_out NOT INDEXED ${from === null ? "" : "WHERE rowid > CAST(? AS INTEGER)"} LIMIT ${limits.outbound}`,
    )
    .all(...(from === null ? [] : [from]))
  const statement = database.prepare<[string], Cells>(
    `${selectSql("messages_out", shape)} WHERE rowid = CAST(? AS INTEGER)`,
  )
  const last = ids.at(-1)?.["position"]
  for (const { id, position } of ids) {
    if (typeof id === "string" && seen.has(id)) continue
    const cells = statement.get(position as string)
    outlet.add("messages_out", checkContent(cells ?? quarantine("outbound.db: messages_out is malformed")))
    if (position === last || outlet.handedOut() < PART_CHARS) continue
    outlet.flush("messages_out")
    return position as string
  }
  outlet.flush("messages_out")
  return null
}

/**
 * Emits what is in the copy, except known rows of `messages_out`. Throws a refusal if the file is not what the host made, possibly after
 * some batches; the caller then discards them.
 */
export const takeCells = (
  image: Buffer,
  wanted: Wanted,
  emit: (batch: OutboundBatch) => void,
): OutboundTotals => {
  const shape = inspect(image)
  const database = new Database(image, { readonly: true })
  try {
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON")
    const pass: Pass = { database, shape, outlet: makeOutlet(image.length, emit) }
    if (wanted.from === null) {
      takeRows(pass, "processing_ack", `LIMIT ${limits.acks}`)
      takeRows(pass, "container_state", "WHERE id = 1 LIMIT 1")
      takeRows(pass, "session_state", `LIMIT ${limits.stateRows}`)
    }
    const more = takeOutbound(pass, wanted)
    return {
      more,
      stateRows: wanted.from === null ? shape.session_state.rows : 0,
      outgrown:
        image.length > limits.outgrownBytes ||
        shape.processing_ack.rows > limits.acks ||
        shape.messages_out.rows > limits.outbound,
    }
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error
    return quarantine(`outbound.db: SQLite can't read it (${String(error)})`)
  } finally {
    database.close()
  }
}
