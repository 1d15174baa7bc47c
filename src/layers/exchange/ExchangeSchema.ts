/**
 * The SQL of both exchange files. Table and column names are a contract: existing agent runners read and write them
 * (docs/exchange.md). New pairs are copies of one image made from this text, so creating a pair runs no SQL.
 */
import Database from "better-sqlite3"

export const INBOUND_SQL = `
CREATE TABLE messages_in (
  id TEXT PRIMARY KEY,
  seq INTEGER UNIQUE,
  kind TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  status TEXT DEFAULT 'pending',
  process_after TEXT,
  recurrence TEXT,
  series_id TEXT,
  tries INTEGER DEFAULT 0,
  trigger INTEGER NOT NULL DEFAULT 1,
  platform_id TEXT,
  channel_type TEXT,
  thread_id TEXT,
  content TEXT NOT NULL,
  source_session_id TEXT,
  on_wake INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE delivered (
  message_out_id TEXT PRIMARY KEY,
  platform_message_id TEXT,
  status TEXT NOT NULL DEFAULT 'delivered',
  delivered_at TEXT NOT NULL,
  detail TEXT
);
CREATE TABLE destinations (
  name TEXT PRIMARY KEY,
  display_name TEXT,
  type TEXT,
  channel_type TEXT,
  platform_id TEXT,
  agent_group_id TEXT
);
CREATE TABLE session_routing (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  channel_type TEXT,
  platform_id TEXT,
  thread_id TEXT
);
`

export const OUTBOUND_SQL = `
CREATE TABLE messages_out (
  id TEXT PRIMARY KEY,
  seq INTEGER UNIQUE,
  in_reply_to TEXT,
  timestamp TEXT NOT NULL,
  deliver_after TEXT,
  recurrence TEXT,
  kind TEXT NOT NULL,
  platform_id TEXT,
  channel_type TEXT,
  thread_id TEXT,
  content TEXT NOT NULL
);
CREATE TABLE processing_ack (
  message_id TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  status_changed TEXT NOT NULL,
  tries INTEGER,
  outcome TEXT,
  detail TEXT
);
CREATE TABLE session_state (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE TABLE container_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  current_tool TEXT,
  tool_declared_timeout_ms INTEGER,
  tool_started_at TEXT,
  updated_at TEXT NOT NULL
);
`

export const OUTBOUND_TABLES = ["messages_out", "processing_ack", "session_state", "container_state"] as const
export type OutboundTable = (typeof OUTBOUND_TABLES)[number]

/** The columns of a table as the SQL above declares them, one a line. */
const columnsOf = (table: string): ReadonlyArray<string> => {
  const body =
    new RegExp(`CREATE TABLE ${table} \\(([^;]+)\\n\\);`).exec(INBOUND_SQL + OUTBOUND_SQL)?.[1] ?? ""
  return [...body.matchAll(/^ +(\w+)/gm)].map(([, column = ""]) => column)
}

/** Columns that the outbound.db of an older runner may lack. */
const YOUNGER = ["tries", "outcome", "detail", "tool_declared_timeout_ms", "tool_started_at"]

/** The columns without which a table of outbound.db is not ours. */
export const requiredColumns = (table: OutboundTable): ReadonlyArray<string> =>
  columnsOf(table).filter((column) => !YOUNGER.includes(column))

/** Inserts a whole row. Its values are named like the columns, in camel case. */
export const insertSql = (table: string): string => {
  const columns = columnsOf(table)
  const values = columns.map(
    (column) => `@${column.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())}`,
  )
  return `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${values.join(", ")})`
}

/** The first column is the key. When a row came stays as it was first written. */
export const upsertSql = (table: string): string => {
  const [key, ...others] = columnsOf(table)
  const changing = others.filter((column) => column !== "timestamp")
  return `${insertSql(table)}
    ON CONFLICT (${key}) DO UPDATE SET ${changing.map((name) => `${name} = excluded.${name}`).join(", ")}`
}

/** Page size of both files; a file of another size is not what the host made. */
export const PAGE_BYTES = 4096

/** The bytes of an empty database with this schema: rollback journal, UTF-8, no reserved bytes, revision 0. */
export const imageOf = (sql: string): Buffer => {
  const database = new Database(":memory:")
  try {
    database.pragma(`page_size = ${PAGE_BYTES}`)
    database.exec(sql)
    return database.serialize()
  } finally {
    database.close()
  }
}
