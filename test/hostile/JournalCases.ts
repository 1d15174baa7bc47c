/** A rollback journal that nobody may roll back where it stands, or that would write what its maker likes. */
import { assert } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { PAGE_BYTES } from "../../src/layers/exchange/ExchangeSchema.ts"
import { type HostileCase, hostile } from "./HostileCase.ts"
import { GOOD_ROWS, type Place } from "./OutboundFile.ts"

/** Leaves the file as a SIGKILL in the middle of a commit would: pages changed, and a hot journal that says how they were. */
export const cutShort = (file: string): void => {
  const script = `
    const { DatabaseSync } = require("node:sqlite")
    const database = new DatabaseSync(process.argv[1])
    database.exec("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; PRAGMA synchronous = NORMAL; BEGIN")
    const insert = database.prepare("INSERT INTO messages_out (id, timestamp, kind, content) VALUES (?, '2026', 'chat', ?)")
    for (let n = 0; n < 200; n++) insert.run("uncommitted-" + n, JSON.stringify({ text: "x".repeat(500) }))
    process.kill(process.pid, "SIGKILL")
  `
  try {
    execFileSync(process.execPath, ["--no-warnings", "-e", script, file], { stdio: "ignore" })
  } catch {
    // It killed itself, as it was meant to.
  }
  if (fs.statSync(`${file}-journal`).size === 0) throw new Error("there is no hot journal")
}

const hot =
  (change: (journal: Buffer, place: Place) => Buffer | void) =>
  (place: Place): void => {
    cutShort(place.outbound)
    const file = `${place.outbound}-journal`
    const journal = fs.readFileSync(file)
    fs.writeFileSync(file, change(journal, place) ?? journal)
  }

/** What SQLite writes at the end of a journal that is part of a larger transaction: roll back, and delete the file that is named. */
const superJournal = (journal: Buffer, name: string): Buffer => {
  const text = Buffer.from(name)
  const tail = Buffer.alloc(4 + text.length + 16)
  tail.writeUInt32BE(0x4000_0000 / PAGE_BYTES + 1, 0)
  text.copy(tail, 4)
  tail.writeUInt32BE(text.length, 4 + text.length)
  tail.writeUInt32BE(
    text.reduce((sum, byte) => sum + byte, 0),
    8 + text.length,
  )
  Buffer.from("d9d505f920a163d7", "hex").copy(tail, 12 + text.length)
  return Buffer.concat([journal, tail])
}

const rolledBack: NonNullable<HostileCase["check"]> = (reading) =>
  assert.deepStrictEqual(
    reading.outbound.map(({ id }) => String(id)),
    [...GOOD_ROWS],
  )

export const journalCases: ReadonlyArray<HostileCase> = [
  hostile(
    "a transaction that a kill cut short",
    "not now",
    hot(() => undefined),
    {
      dead: "read",
      check: rolledBack,
    },
  ),
  hostile(
    "a hot journal that names another file to be deleted",
    "not now",
    hot((journal, { elsewhere }) => superJournal(journal, path.join(elsewhere, "secret"))),
    { dead: ["read", "set aside"] },
  ),
  hostile(
    "a hot journal that restores 8 TB",
    "not now",
    hot((journal) => void journal.writeUInt32BE(0x7fff_ffff, 16)),
    { dead: "set aside" },
  ),
  hostile(
    "a hot journal of other pages",
    "not now",
    hot((journal) => void journal.writeUInt32BE(65_536, 24)),
    { dead: "set aside" },
  ),
  hostile(
    "a hot journal with sectors of 2 GB",
    "not now",
    hot((journal) => void journal.writeUInt32BE(0x8000_0000, 20)),
    { live: ["not now", "read", "set aside"], dead: ["read", "set aside"] },
  ),
  hostile(
    "a hot journal that puts noise on every page",
    "not now",
    hot((journal) => void journal.fill(0x5a, 512)),
    { live: ["not now", "read", "set aside"], dead: ["read", "set aside"] },
  ),
  hostile(
    "a journal of noise",
    "read",
    ({ outbound }) => fs.writeFileSync(`${outbound}-journal`, Buffer.alloc(100_000, 0x77)),
    { live: ["read", "not now"], dead: ["read", "set aside"] },
  ),
  hostile(
    "a hot journal of 2 GB, sparse",
    "not now",
    (place) => {
      hot(() => undefined)(place)
      fs.truncateSync(`${place.outbound}-journal`, 2 * 1024 ** 3)
    },
    { dead: "set aside" },
  ),
]
