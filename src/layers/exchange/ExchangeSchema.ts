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

/** The columns without which a table of outbound.db is not ours, and those that older runners may lack. */
export const OUTBOUND_TABLES = {
  messages_out: {
    required: [
      "id",
      "seq",
      "in_reply_to",
      "timestamp",
      "deliver_after",
      "recurrence",
      "kind",
      "platform_id",
      "channel_type",
      "thread_id",
      "content",
    ],
    optional: [],
  },
  processing_ack: {
    required: ["message_id", "status", "status_changed"],
    optional: ["tries", "outcome", "detail"],
  },
  session_state: { required: ["key", "value", "updated_at"], optional: [] },
  container_state: {
    required: ["id", "current_tool", "updated_at"],
    optional: ["tool_declared_timeout_ms", "tool_started_at"],
  },
} as const satisfies Record<
  string,
  { readonly required: ReadonlyArray<string>; readonly optional: ReadonlyArray<string> }
>

export type OutboundTable = keyof typeof OUTBOUND_TABLES

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
