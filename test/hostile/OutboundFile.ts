/** How hostile files are made: by SQL where SQLite lets one, by bytes where it does not. Nothing here is read by the host. */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import { imageOf, OUTBOUND_SQL, PAGE_BYTES } from "../../src/layers/exchange/ExchangeSchema.ts"

/** Where a hostile container works: its `out/`, and a place of somebody else's that it must not reach. */
export interface Place {
  readonly outDir: string
  readonly outbound: string
  /** A directory outside of the session, with a file `secret` in it. */
  readonly elsewhere: string
}

export const placeIn = (outDir: string, elsewhere: string): Place => ({
  outDir,
  outbound: path.join(outDir, "outbound.db"),
  elsewhere,
})

export const execute = (file: string, ...statements: ReadonlyArray<string>): void => {
  const database = new Database(file)
  try {
    database.unsafeMode(true)
    database.pragma("synchronous = OFF")
    for (const statement of statements) database.exec(statement)
  } finally {
    database.close()
  }
}

/** One row of messages_out; both arguments are SQL expressions. */
export const row = (id: string, content = `'{"text":"x"}'`): string =>
  `INSERT INTO messages_out (id, timestamp, kind, content) VALUES (${id}, '2026-01-01T00:00:00Z', 'chat', ${content})`

/** `count` rows of messages_out in one statement: `#` in the expressions is the number of the row. */
export const rows = (count: number, columns: Readonly<Record<string, string>>): string => {
  const all: Record<string, string> = {
    id: "'row-' || #",
    timestamp: "'2026-01-01T00:00:00Z'",
    kind: "'chat'",
    content: `'{}'`,
    ...columns,
  }
  const names = Object.keys(all)
  return `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${count})
    INSERT INTO messages_out (${names.join(", ")})
    SELECT ${names.map((name) => (all[name] ?? "NULL").replaceAll("#", "i")).join(", ")} FROM n`
}

export const GOOD_ROWS = ["good-1", "good-2"] as const

/** What an honest runner has written: two rows, two acks, a tool in flight, some state. */
export const honestImage = (): Buffer => {
  const database = new Database(imageOf(OUTBOUND_SQL))
  try {
    for (const id of GOOD_ROWS) database.exec(row(`'${id}'`))
    database.exec(`
      INSERT INTO processing_ack (message_id, status, status_changed) VALUES ('m1', 'completed', '2026-01-01T00:00:00.000Z');
      INSERT INTO processing_ack (message_id, status, status_changed, tries, detail)
        VALUES ('m2', 'failed', '2026-01-01T00:00:00.000Z', 1, '{"retryable":true,"error":"boom"}');
      INSERT INTO session_state VALUES ('thread', 'abc', '2026-01-01T00:00:00Z');
      INSERT INTO container_state VALUES (1, 'Bash', 60000, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z');`)
    return database.serialize()
  } finally {
    database.close()
  }
}

/** Changes the file as bytes. */
export const reshape = (file: string, change: (image: Buffer) => Buffer | void): void => {
  const image = fs.readFileSync(file)
  fs.writeFileSync(file, change(image) ?? image)
}

export const pageAt = (image: Buffer, page: number): Buffer =>
  image.subarray((page - 1) * PAGE_BYTES, page * PAGE_BYTES)

/** The root page of a table or index. */
export const rootOf = (file: string, name: string): number => {
  const database = new Database(file, { readonly: true })
  try {
    return database
      .prepare<[string], number>("SELECT rootpage FROM sqlite_schema WHERE name = ?")
      .pluck()
      .get(name) as number
  } finally {
    database.close()
  }
}

/** Makes an interior table page whose children are `left` and `right`. */
export const interiorPage = (left: number, right: number): Buffer => {
  const page = Buffer.alloc(PAGE_BYTES)
  page[0] = 0x05
  page.writeUInt16BE(1, 3)
  page.writeUInt16BE(PAGE_BYTES - 5, 5)
  page.writeUInt32BE(right, 8)
  page.writeUInt16BE(PAGE_BYTES - 5, 12)
  page.writeUInt32BE(left, PAGE_BYTES - 5)
  page[PAGE_BYTES - 1] = 1
  return page
}
