/**
 * outbound.db as a container may make it: every case ends within bounds as a reading, `Unreadable` or `Quarantined`, and the files of
 * others stay as they are. What is planted here is what has hung, crashed or misled hosts that open such a file naively.
 */
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as SqliteMailbox from "../../../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox } from "../../../src/services/Mailbox.ts"
import { nothingCarried, pairOf, projection } from "../../contract/Mailbox.contract.ts"

const pair = pairOf(1)

const story = <A, E>(title: string, tell: (files: Files) => Effect.Effect<A, E, Mailbox>) =>
  it.live(title, () =>
    Effect.gen(function* () {
      const dataDir = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-hostile-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
      )
      return yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.create(pair, nothingCarried)
        const { inDir, outDir } = mailbox.paths(pair)
        return yield* tell({ dataDir, inDir, outDir, outbound: path.join(outDir, "outbound.db") })
      }).pipe(
        Effect.provide(SqliteMailbox.layer({ dataDir, patienceMs: 30_000 }) satisfies Layer.Layer<Mailbox>),
      )
    }),
  )

interface Files {
  readonly dataDir: string
  readonly inDir: string
  readonly outDir: string
  readonly outbound: string
}

const execute = (file: string, ...statements: ReadonlyArray<string>): void => {
  const database = new Database(file)
  database.pragma("synchronous = OFF")
  for (const statement of statements) database.exec(statement)
  database.close()
}

const read = (mode: "live" | "final" = "live") =>
  Mailbox.use((mailbox) => mailbox.read(pair, { seen: new Set(), mode }))

const ROW = (id: string, content: string) =>
  `INSERT INTO messages_out (id, timestamp, kind, content) VALUES (${id}, '2026-01-01T00:00:00Z', 'chat', ${content})`

const replaced = (files: Files): void => {
  fs.rmSync(files.outbound)
}

describe("an outbound.db that is no longer what the host made", () => {
  const cases: ReadonlyArray<readonly [what: string, plant: (files: Files) => void]> = [
    [
      "a link to another database",
      (files) => {
        replaced(files)
        fs.symlinkSync(path.join(files.inDir, "inbound.db"), files.outbound)
      },
    ],
    [
      "a FIFO",
      (files) => {
        replaced(files)
        execFileSync("mkfifo", [files.outbound])
      },
    ],
    [
      "a second name of another file",
      (files) => {
        replaced(files)
        fs.linkSync(path.join(files.inDir, "inbound.db"), files.outbound)
      },
    ],
    [
      "a directory",
      (files) => {
        replaced(files)
        fs.mkdirSync(files.outbound)
      },
    ],
    ["gone", replaced],
    ["empty", (files) => fs.truncateSync(files.outbound, 0)],
    ["cut in the middle of a page", (files) => fs.truncateSync(files.outbound, 6_000)],
    ["noise", (files) => fs.writeFileSync(files.outbound, Buffer.alloc(40_960, 0xa5))],
    ["larger than the cap", (files) => fs.truncateSync(files.outbound, 65 * 1024 * 1024)],
    [
      "in WAL mode",
      (files) => execute(files.outbound, "PRAGMA journal_mode = WAL", ROW("'w'", `'{"text":"x"}'`)),
    ],
    ["a FIFO as its journal", (files) => execFileSync("mkfifo", [`${files.outbound}-journal`])],
    ["a -wal beside it", (files) => fs.writeFileSync(`${files.outbound}-wal`, "")],
    [
      "a view in place of a table",
      (files) =>
        execute(
          files.outbound,
          "DROP TABLE messages_out",
          "CREATE VIEW messages_out AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS id FROM n",
        ),
    ],
    [
      "a trigger",
      (files) =>
        execute(
          files.outbound,
          "CREATE TRIGGER t AFTER INSERT ON messages_out BEGIN DELETE FROM processing_ack; END",
        ),
    ],
    [
      "a generated column",
      (files) => execute(files.outbound, "CREATE TABLE extra (a TEXT, b TEXT AS (upper(a)))"),
    ],
    [
      "a table without its columns",
      (files) =>
        execute(files.outbound, "DROP TABLE processing_ack", "CREATE TABLE processing_ack (message_id TEXT)"),
    ],
    [
      "a thousand tables",
      (files) =>
        execute(files.outbound, ...Array.from({ length: 1_000 }, (_, n) => `CREATE TABLE t${n} (a TEXT)`)),
    ],
    [
      "a tree whose pages are shared",
      (files) => {
        execute(
          files.outbound,
          ...Array.from({ length: 2_000 }, (_, n) => ROW(`'r${n}'`, `'{"text":"${"x".repeat(200)}"}'`)),
        )
        const image = fs.readFileSync(files.outbound)
        for (let page = 1; page < image.length / 4096; page++) {
          const start = page * 4096
          if (image[start] !== 0x05 || image.readUInt16BE(start + 3) < 2) continue
          const first = image.readUInt16BE(start + 12)
          const second = image.readUInt16BE(start + 14)
          image.copy(image, start + second, start + first, start + first + 4)
        }
        fs.writeFileSync(files.outbound, image)
      },
    ],
  ]
  for (const [what, plant] of cases)
    story(`${what}: it is set aside, and nothing else is touched`, (files) =>
      Effect.gen(function* () {
        const inbound = fs.readFileSync(path.join(files.inDir, "inbound.db"))
        plant(files)
        for (const mode of ["live", "final"] as const) {
          const error = yield* Effect.flip(read(mode))
          assert.strictEqual(error._tag, "Quarantined")
          if (error._tag === "Quarantined") assert.isAbove(error.reason.length, 10)
        }
        assert.deepStrictEqual(fs.readFileSync(path.join(files.inDir, "inbound.db")), inbound)
      }),
    )

  story("the out directory is a link to another session's: it is set aside", (files) =>
    Effect.gen(function* () {
      const elsewhere = path.join(files.dataDir, "elsewhere")
      fs.renameSync(files.outDir, elsewhere)
      fs.symlinkSync(elsewhere, files.outDir)
      assert.strictEqual((yield* Effect.flip(read()))._tag, "Quarantined")
    }),
  )
})

describe("rows that no runner of ours would write", () => {
  const bad: ReadonlyArray<readonly [what: string, sql: string]> = [
    ["content that is no JSON", ROW("'bad'", "'{not json'")],
    ["a blob for content", ROW("'bad'", "x'ff00fe'")],
    ["a blob for an id", ROW("x'62616400'", `'{"text":"x"}'`)],
    ["content of two megabytes", ROW("'bad'", `'{"text":"' || hex(zeroblob(1048576)) || '"}'`)],
    ["an id that climbs", ROW("'../../etc/passwd'", `'{"text":"x"}'`)],
    ["an id of a kilobyte", ROW("'" + "i".repeat(1_024) + "'", `'{"text":"x"}'`)],
  ]
  for (const [what, sql] of bad)
    story(`${what}: that row is refused with a reason, the good ones go on`, (files) =>
      Effect.gen(function* () {
        execute(files.outbound, ROW("'good-1'", `'{"text":"one"}'`), sql, ROW("'good-2'", `'{"text":"two"}'`))
        const reading = yield* read()
        assert.deepStrictEqual(
          reading.outbound.map(({ id }) => String(id)),
          ["good-1", "good-2"],
        )
        assert.strictEqual(reading.rejected.length, 1)
        assert.isAbove(reading.rejected[0]?.reason.length ?? 0, 5)
      }),
    )

  story("numbers and times beyond belief are taken for unknown", (files) =>
    Effect.gen(function* () {
      execute(
        files.outbound,
        `INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES ('huge', 9007199254740993, 'yesterday', 'chat', '{}')`,
        `INSERT INTO processing_ack (message_id, status, status_changed, tries) VALUES ('m1', 'processing', '99999-99-99', 9223372036854775807)`,
        `INSERT INTO container_state (id, current_tool, tool_declared_timeout_ms, tool_started_at, updated_at) VALUES (1, 'Bash', -5, 'never', 'x')`,
      )
      const reading = yield* read()
      for (const row of reading.outbound) assert.isTrue(row.seq === null || Number.isSafeInteger(row.seq))
      for (const ack of reading.acks) {
        assert.isNull(ack.changedAt)
        assert.isTrue(ack.tries === null || Number.isSafeInteger(ack.tries))
      }
      assert.isNull(reading.tool?.startedAt ?? null)
      const told = reading.rejected.filter(({ table }) => table !== "container_state")
      assert.strictEqual(reading.outbound.length + reading.acks.length + told.length, 2)
    }),
  )

  story("more rows than a life may write: what fits is read, and it says that there is more", (files) =>
    Effect.gen(function* () {
      const database = new Database(files.outbound)
      database.exec("PRAGMA synchronous = OFF; BEGIN")
      const insert = database.prepare(ROW("?", "'{}'"))
      for (let n = 0; n < 10_500; n++) insert.run(`row-${n}`)
      database.exec("COMMIT")
      database.close()
      const reading = yield* read()
      assert.isTrue(reading.outgrown)
      assert.isAtMost(reading.outbound.length, 10_000)
    }),
  )

  story("tables and columns of an older runner are tolerated and never read", (files) =>
    Effect.gen(function* () {
      execute(
        files.outbound,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)",
        "ALTER TABLE messages_out ADD COLUMN mood TEXT",
        "CREATE INDEX by_kind ON messages_out (kind)",
        ROW("'good'", `'{"text":"x"}'`),
      )
      const reading = yield* read()
      assert.deepStrictEqual([reading.outbound.length, reading.rejected.length], [1, 0])
    }),
  )
})

describe("locks and journals", () => {
  story(
    "a lock that is held: unreadable now, without waiting in the event loop, readable when it is gone",
    (files) =>
      Effect.gen(function* () {
        const container = new Database(files.outbound)
        container.exec("BEGIN EXCLUSIVE")
        assert.strictEqual((yield* Effect.flip(read()))._tag, "Unreadable")
        container.exec("COMMIT")
        container.close()
        assert.deepStrictEqual((yield* read()).rejected, [])
      }),
  )

  story(
    "a transaction that a kill cut short: unreadable while it may live, rolled back on a copy when it is dead",
    (files) =>
      Effect.gen(function* () {
        execute(files.outbound, ROW("'committed'", `'{"text":"x"}'`))
        const snapshot = cutShort(files.outbound)
        assert.strictEqual((yield* Effect.flip(read("live")))._tag, "Unreadable")
        const reading = yield* read("final")
        assert.deepStrictEqual(
          reading.outbound.map(({ id }) => String(id)),
          ["committed"],
        )
        assert.deepStrictEqual(
          fs.readFileSync(files.outbound),
          snapshot,
          "the container's file is never written",
        )
      }),
  )

  story(
    "a container that holds inbound.db blocks its own projection only, for two seconds at most",
    (files) =>
      Effect.gen(function* () {
        const container = new Database(path.join(files.inDir, "inbound.db"))
        container.exec("BEGIN; SELECT * FROM messages_in")
        const reading = container.prepare("SELECT count(*) FROM messages_in").get()
        assert.isDefined(reading)
        const mailbox = yield* Mailbox
        let turns = 0
        const ticking = setInterval(() => void turns++, 20)
        const error = yield* Effect.flip(mailbox.project(pair, projection(1, [])))
        clearInterval(ticking)
        container.close()
        assert.strictEqual(error._tag, "ProjectionBlocked")
        assert.isAbove(turns, 5, "the event loop went on meanwhile")
        yield* mailbox.project(pair, projection(2, []))
        assert.strictEqual(yield* mailbox.revision(pair), 2)
      }),
  )
})

/** Leaves the file as a SIGKILL in the middle of a commit would: pages changed, and a hot journal that says how they were. */
const cutShort = (file: string): Buffer => {
  const script = `
    const { DatabaseSync } = require("node:sqlite")
    const database = new DatabaseSync(process.argv[1])
    database.exec("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN")
    const insert = database.prepare("INSERT INTO messages_out (id, timestamp, kind, content) VALUES (?, '2026', 'chat', ?)")
    for (let n = 0; n < 500; n++) insert.run("uncommitted-" + n, JSON.stringify({ text: "x".repeat(500) }))
    process.kill(process.pid, "SIGKILL")
  `
  try {
    execFileSync(process.execPath, ["--no-warnings", "-e", script, file], { stdio: "ignore" })
  } catch {
    // It killed itself, as it was meant to.
  }
  assert.isAbove(fs.statSync(`${file}-journal`).size, 0, "there is a hot journal")
  return fs.readFileSync(file)
}
