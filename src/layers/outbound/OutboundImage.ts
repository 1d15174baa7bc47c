/**
 * Looks at the bytes of a copied outbound.db before SQLite does: header, schema page and the trees of our tables. A hostile
 * schema can hang or exhaust the parser, and a tree whose pages are shared can be walked for ever, so neither reaches SQLite.
 * Everything here is linear in the file, and works on a private copy that nobody can change.
 */
import { type OutboundTable, PAGE_BYTES, requiredColumns } from "../exchange/ExchangeSchema.ts"
import { OutboundLimits } from "./OutboundLimits.ts"
import { quarantine } from "./OutboundRefusal.ts"

/** One of our tables as it stands in this file. */
export interface OutboundTableShape {
  readonly columns: ReadonlySet<string>
  readonly rows: number
}

export type OutboundShape = Readonly<Record<OutboundTable, OutboundTableShape>>

const HEADER_BYTES = 100
const LEAF_TABLE_PAGE = 0x0d
const INTERIOR_TABLE_PAGE = 0x05
/** The largest payload of a table leaf that needs no overflow page. */
const MAX_LOCAL_BYTES = PAGE_BYTES - 35

const refuse = (reason: string): never => quarantine(`outbound.db: ${reason}`)

/** Checks the first 100 bytes. `2` in bytes 18 and 19 means WAL, which never crosses a mount. */
export const checkHeader = (header: Buffer): void => {
  if (header.length < HEADER_BYTES) refuse("it is too short to be a database")
  if (header.toString("latin1", 0, 16) !== "SQLite format 3\0") refuse("it is not an SQLite database")
  if (header[18] !== 1 || header[19] !== 1)
    refuse("it is not in rollback journal mode (WAL is not allowed across the mount)")
  if (header.readUInt16BE(16) !== PAGE_BYTES) refuse(`its page size is not ${PAGE_BYTES}`)
  if (header[20] !== 0) refuse("its pages have reserved bytes")
  if (header.readUInt32BE(56) !== 1) refuse("its text encoding is not UTF-8")
}

/** A big-endian variable-length integer of at most five bytes; larger ones have no place in a schema page. */
const readVarint = (page: Buffer, at: number): readonly [value: number, next: number] => {
  let value = 0
  for (let index = 0; index < 5; index++) {
    const byte = page.readUInt8(at + index)
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) return [value, at + index + 1]
  }
  return refuse("its schema page is malformed")
}

const integerBytes: Readonly<Record<number, number>> = { 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 6, 8: 0, 9: 0 }

/** One value of a record: text, a whole number or null. */
const readValue = (
  page: Buffer,
  at: number,
  serialType: number,
): readonly [value: string | number | null, next: number] => {
  if (serialType === 0) return [null, at]
  if (serialType >= 13 && serialType % 2 === 1) {
    const end = at + (serialType - 13) / 2
    if (end > page.length) refuse("its schema page is malformed")
    return [page.toString("utf8", at, end), end]
  }
  const bytes = integerBytes[serialType]
  if (bytes === undefined || serialType === 5 || serialType === 6)
    return refuse("its schema page is malformed")
  if (bytes === 0) return [serialType - 8, at]
  return [page.readUIntBE(at, bytes), at + bytes]
}

interface SchemaEntry {
  readonly type: string | number | null
  readonly name: string | number | null
  readonly rootPage: string | number | null
  readonly sql: string | number | null
}

const readSchemaEntry = (page: Buffer, cell: number): SchemaEntry => {
  const [payload, afterPayload] = readVarint(page, cell)
  if (payload > MAX_LOCAL_BYTES) refuse("a statement of its schema is longer than the host's")
  const [, start] = readVarint(page, afterPayload)
  if (start + payload > page.length) refuse("its schema page is malformed")
  const [headerBytes, afterHeader] = readVarint(page, start)
  const types: Array<number> = []
  let at = afterHeader
  while (at < start + headerBytes && types.length <= 5) {
    const [type, next] = readVarint(page, at)
    types.push(type)
    at = next
  }
  if (types.length !== 5 || at !== start + headerBytes) refuse("its schema page is malformed")
  const values = types.map((serialType) => {
    const [value, next] = readValue(page, at, serialType)
    at = next
    return value
  })
  const [type = null, name = null, , rootPage = null, sql = null] = values
  return { type, name, rootPage, sql }
}

/** The schema, if it fits one leaf page, as the host's does with room for an older runner's additions. */
const readSchema = (image: Buffer): ReadonlyArray<SchemaEntry> => {
  const page = image.subarray(0, PAGE_BYTES)
  if (page[HEADER_BYTES] !== LEAF_TABLE_PAGE) refuse("its schema is larger than one page")
  const count = page.readUInt16BE(HEADER_BYTES + 3)
  if (count > OutboundLimits.schemaEntries) refuse("its schema has too many entries")
  const entries: Array<SchemaEntry> = []
  for (let index = 0; index < count; index++)
    entries.push(readSchemaEntry(page, page.readUInt16BE(HEADER_BYTES + 8 + 2 * index)))
  return entries
}

const TABLE_SQL =
  /^CREATE TABLE (?:IF NOT EXISTS )?(["`]?)(\w{1,128})\1\s*\(([\w\s,.'"`()]*)\)\s*(?:STRICT|WITHOUT ROWID)?$/i
const INDEX_SQL =
  /^CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?["`]?\w{1,128}["`]? ON ["`]?\w{1,128}["`]?\s*\([\w\s,"`]*\)$/i
/** The one check that the host's own schema has. */
const HOST_CHECK = /CHECK\s*\(\s*id\s*=\s*1\s*\)/gi
/** Whatever could make SQLite compute something while it parses or reads a table. */
const COMPUTES = /\b(?:AS|GENERATED|ALWAYS|CHECK|COLLATE|REFERENCES|SELECT)\b|\bDEFAULT\s*\(/i
const TABLE_CONSTRAINT = /^(?:PRIMARY|UNIQUE|CONSTRAINT|FOREIGN)$/i

/** The columns of a plain `CREATE TABLE`; undefined when the statement is anything else. */
const plainColumns = (sql: string, name: string): ReadonlySet<string> | undefined => {
  const statement = TABLE_SQL.exec(sql.replaceAll(HOST_CHECK, ""))
  const body = statement?.[3]
  if (body === undefined || statement?.[2] !== name || COMPUTES.test(body)) return undefined
  const columns = new Set<string>()
  for (const definition of body.replaceAll(/\([^()]*\)/g, "").split(",")) {
    const column = /^\s*["`]?(\w+)/.exec(definition)?.[1]
    if (column === undefined) return undefined
    if (!TABLE_CONSTRAINT.test(column)) columns.add(column.toLowerCase())
  }
  return columns
}

/** Rows of the table rooted at `root`. Every page may be met once, over all tables that share `visited`. */
const countRows = (image: Buffer, root: number, visited: Uint8Array): number => {
  const pages = image.length / PAGE_BYTES
  const open = [root]
  let rows = 0
  for (let page = open.pop(); page !== undefined; page = open.pop()) {
    if (page < 2 || page > pages || visited[page] === 1) refuse("a table's pages do not form a tree")
    visited[page] = 1
    const start = (page - 1) * PAGE_BYTES
    const type = image[start]
    const cells = image.readUInt16BE(start + 3)
    if (type === LEAF_TABLE_PAGE) {
      if (cells * 2 + 8 > PAGE_BYTES) refuse("a table's page is malformed")
      rows += cells
      continue
    }
    if (type !== INTERIOR_TABLE_PAGE || cells * 2 + 12 > PAGE_BYTES) refuse("a table's page is malformed")
    open.push(image.readUInt32BE(start + 8))
    for (let index = 0; index < cells; index++) {
      const cell = image.readUInt16BE(start + 12 + 2 * index)
      if (cell > PAGE_BYTES - 4) refuse("a table's page is malformed")
      open.push(image.readUInt32BE(start + cell))
    }
  }
  return rows
}

const shapeOf = (
  image: Buffer,
  entries: ReadonlyArray<SchemaEntry>,
  table: OutboundTable,
  visited: Uint8Array,
): OutboundTableShape => {
  const entry = entries.find((candidate) => candidate.type === "table" && candidate.name === table)
  if (entry === undefined) return refuse(`it has no table ${table}`)
  const columns = plainColumns(String(entry.sql), table) ?? new Set<string>()
  for (const column of requiredColumns(table))
    if (!columns.has(column)) refuse(`its table ${table} has no plain column ${column}`)
  return { columns, rows: countRows(image, Number(entry.rootPage), visited) }
}

/**
 * Checks that the copy is what the host made, or what an older runner made of it: our four tables, plain extra tables and
 * columns, plain indices, nothing that computes. Throws a refusal with the first difference.
 */
export const inspect = (image: Buffer): OutboundShape => {
  checkHeader(image)
  if (image.length % PAGE_BYTES !== 0) refuse("its length is not a whole number of pages")
  try {
    const entries = readSchema(image)
    for (const { name, sql, type } of entries) {
      const known =
        (type === "index" && (sql === null || (typeof sql === "string" && INDEX_SQL.test(sql)))) ||
        (type === "table" &&
          typeof name === "string" &&
          typeof sql === "string" &&
          (!/^sqlite_/i.test(name) || name === "sqlite_sequence") &&
          plainColumns(sql, name) !== undefined)
      if (!known) refuse(`its schema holds a ${String(type)} that is not a plain table or index`)
    }
    const visited = new Uint8Array(image.length / PAGE_BYTES + 1)
    return {
      messages_out: shapeOf(image, entries, "messages_out", visited),
      processing_ack: shapeOf(image, entries, "processing_ack", visited),
      session_state: shapeOf(image, entries, "session_state", visited),
      container_state: shapeOf(image, entries, "container_state", visited),
    }
  } catch (error) {
    if (error instanceof RangeError) return refuse("its pages are malformed")
    throw error
  }
}
