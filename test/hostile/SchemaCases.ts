/** The schema is not the host's: it computes, hangs the parser, or lies about where tables are. */
import { type HostileCase, hostile } from "./HostileCase.ts"
import { execute, reshape, rootOf, row } from "./OutboundFile.ts"

const sql =
  (...statements: ReadonlyArray<string>) =>
  ({ outbound }: { readonly outbound: string }) =>
    execute(outbound, ...statements)

/** Writes into sqlite_schema itself, as SQLite refuses to do it by SQL. */
const forged = (...statements: ReadonlyArray<string>) =>
  sql("PRAGMA writable_schema = ON", ...statements, "PRAGMA writable_schema = RESET")

const NEVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"

const without = (table: string, columns: string) =>
  sql(`DROP TABLE ${table}`, `CREATE TABLE ${table} (${columns})`)

const header =
  (offset: number, ...bytes: ReadonlyArray<number>) =>
  ({ outbound }: { readonly outbound: string }) =>
    reshape(outbound, (image) => {
      for (const [index, byte] of bytes.entries()) image[offset + index] = byte
    })

export const schemaCases: ReadonlyArray<HostileCase> = [
  hostile(
    "a view that never ends, named like the table",
    "set aside",
    sql("DROP TABLE messages_out", `CREATE VIEW messages_out AS ${NEVER} SELECT x AS id FROM n`),
  ),
  hostile(
    "200 000 views",
    "set aside",
    forged(
      `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
       INSERT INTO sqlite_schema SELECT 'view', 'v' || i, 'v' || i, 0, 'CREATE VIEW v' || i || ' AS SELECT 1' FROM n`,
    ),
  ),
  hostile(
    "a thousand tables",
    "set aside",
    sql(Array.from({ length: 1_000 }, (_, n) => `CREATE TABLE t${n} (a)`).join(";")),
  ),
  hostile(
    "a trigger",
    "set aside",
    sql("CREATE TRIGGER t AFTER INSERT ON messages_out BEGIN DELETE FROM processing_ack; END"),
  ),
  hostile("a generated column", "set aside", sql("CREATE TABLE extra (a TEXT, b TEXT AS (upper(a)))")),
  hostile(
    "a column of ours that is generated",
    "set aside",
    sql(
      "DROP TABLE session_state",
      "CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT AS (hex(zeroblob(100000000))), updated_at TEXT)",
      "INSERT INTO session_state (key) VALUES ('k')",
    ),
  ),
  hostile("a check of its own", "set aside", sql("CREATE TABLE extra (a TEXT CHECK (length(a) > 0))")),
  hostile(
    "a default that computes",
    "set aside",
    sql("CREATE TABLE extra (a TEXT DEFAULT (hex(zeroblob(1000))))"),
  ),
  hostile("an index on an expression", "set aside", sql("CREATE INDEX i ON messages_out (upper(content))")),
  hostile("a partial index", "set aside", sql("CREATE INDEX i ON messages_out (content) WHERE id > ''")),
  hostile("a virtual table", "set aside", sql("CREATE VIRTUAL TABLE v USING fts5(a)")),
  hostile("statistics that SQLite reads", "set aside", sql("ANALYZE")),
  hostile(
    "a schema entry of an unknown type",
    "set aside",
    forged("INSERT INTO sqlite_schema VALUES ('module', 'm', 'm', 0, 'CREATE MODULE m')"),
  ),
  hostile(
    "a table twice",
    "set aside",
    forged("INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'session_state'"),
  ),
  hostile("a table missing", "set aside", sql("DROP TABLE processing_ack")),
  hostile("a column missing", "set aside", without("processing_ack", "message_id TEXT")),
  hostile(
    "a table without rowids",
    "set aside",
    sql(
      "DROP TABLE messages_out",
      `CREATE TABLE messages_out (id TEXT PRIMARY KEY, seq INTEGER, in_reply_to TEXT, timestamp TEXT, deliver_after TEXT,
       recurrence TEXT, kind TEXT, platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT) WITHOUT ROWID`,
      row("'r'"),
    ),
  ),
  hostile(
    "columns of other types",
    "read",
    without("session_state", "key BLOB PRIMARY KEY, value REAL, updated_at ANYTHING"),
  ),
  hostile(
    "a statement of four thousand characters",
    "set aside",
    sql(`CREATE TABLE extra (${Array.from({ length: 700 }, (_, n) => `c${n}`).join(", ")})`),
  ),
  hostile(
    "parentheses without end",
    "set aside",
    sql(`CREATE TABLE extra (a DEFAULT ${"(".repeat(90)}1${")".repeat(90)})`),
  ),
  ...([0, 1, 3, 4_000_000] as const).map((page) =>
    hostile(
      `a table said to be rooted at page ${page}`,
      "set aside",
      forged(`UPDATE sqlite_schema SET rootpage = ${page} WHERE name = 'messages_out'`),
    ),
  ),
  hostile("two tables with one root", "set aside", ({ outbound }) => {
    const root = rootOf(outbound, "processing_ack")
    execute(
      outbound,
      "PRAGMA writable_schema = ON",
      `UPDATE sqlite_schema SET rootpage = ${root} WHERE name = 'session_state'`,
    )
  }),
  hostile("a table rooted in an index", "set aside", ({ outbound }) => {
    const root = rootOf(outbound, "sqlite_autoindex_messages_out_1")
    execute(
      outbound,
      "PRAGMA writable_schema = ON",
      `UPDATE sqlite_schema SET rootpage = ${root} WHERE name = 'messages_out'`,
    )
  }),
  hostile(
    "SQL that is a blob",
    "set aside",
    forged("UPDATE sqlite_schema SET sql = x'00' WHERE name = 'session_state'"),
  ),
  hostile("pages of 512 bytes", "set aside", sql("PRAGMA page_size = 512", "VACUUM")),
  hostile("pages of 65 536 bytes", "set aside", sql("PRAGMA page_size = 65536", "VACUUM")),
  hostile("page size 0", "set aside", header(16, 0, 0)),
  hostile("reserved bytes", "set aside", header(20, 200)),
  hostile("UTF-16", "set aside", header(56, 0, 0, 0, 2)),
  hostile("a file format of the future", "set aside", header(18, 9, 9)),
  hostile("a schema format of the future", "set aside", header(44, 0, 0, 0, 9)),
  hostile("incremental vacuum", "read", sql("PRAGMA auto_vacuum = 1", "VACUUM")),
  hostile(
    "the additions of an older runner",
    "read",
    sql(
      "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)",
      "ALTER TABLE messages_out ADD COLUMN mood TEXT",
      "CREATE INDEX by_kind ON messages_out (kind)",
    ),
  ),
]
