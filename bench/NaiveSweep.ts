/**
 * The baseline: a sweep as hosts without a ledger do it. It opens the two databases of every session, asks one for due messages and
 * the other for acks, and closes them, one session after another, all of it in one turn of the event loop.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import { upTo } from "./Measure.ts"

/** Copies two sessions that were made, `count` times; the first `due` have a message that is due. Returns the pass over all of them. */
export const naiveSweep = (directory: string, count: number, due: number) => {
  const idle = made(path.join(directory, "idle"), 0)
  const busy = made(path.join(directory, "due"), 1)
  const folders = upTo(count).map((n) => {
    const folder = path.join(directory, `s${n}`)
    fs.cpSync(n < due ? busy : idle, folder, { recursive: true })
    return folder
  })
  return () => folders.reduce((found, folder) => found + sweepOne(folder), 0)
}

/** How many messages are due and how many acks there are. */
const sweepOne = (folder: string): number => {
  const inbound = new Database(path.join(folder, "inbound.db"))
  const outbound = new Database(path.join(folder, "outbound.db"), { readonly: true })
  try {
    const { due } = inbound
      .prepare(
        "SELECT count(*) AS due FROM messages_in WHERE status = 'pending' AND process_after <= datetime('now')",
      )
      .get() as { due: number }
    const acks = outbound.prepare("SELECT message_id, status, status_changed FROM processing_ack").all()
    return due + acks.length
  } finally {
    inbound.close()
    outbound.close()
  }
}

const made = (folder: string, pending: number): string => {
  fs.mkdirSync(folder, { recursive: true })
  const inbound = new Database(path.join(folder, "inbound.db"))
  inbound.exec(
    "CREATE TABLE messages_in (id TEXT PRIMARY KEY, status TEXT, process_after TEXT, content TEXT)",
  )
  const insert = inbound.prepare(
    "INSERT INTO messages_in VALUES (?, 'pending', datetime('now', '-1 minute'), '{}')",
  )
  for (let n = 0; n < pending; n++) insert.run(`m${n}`)
  inbound.close()
  const outbound = new Database(path.join(folder, "outbound.db"))
  outbound.exec("CREATE TABLE processing_ack (message_id TEXT PRIMARY KEY, status TEXT, status_changed TEXT)")
  outbound.close()
  return folder
}
