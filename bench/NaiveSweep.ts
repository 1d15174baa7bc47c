/**
 * The baseline: a sweep as hosts without a ledger do it. It opens the two databases of every session, asks one for due messages and
 * the other for acks, and closes them, one session after another, all of it in one turn of the event loop.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"

export interface NaiveHost {
  /** One pass; returns how many messages are due and how many acks there are. */
  readonly sweep: () => number
}

/** Files for `count` sessions, copied from two that were made; the first `due` of them have a message that is due. */
export const naiveHost = (directory: string, count: number, due: number): NaiveHost => {
  fs.mkdirSync(directory, { recursive: true })
  const idle = template(directory, "idle", 0)
  const busy = template(directory, "due", 1)
  const folders = Array.from({ length: count }, (_, n) => {
    const folder = path.join(directory, `s${n}`)
    fs.mkdirSync(folder)
    const from = n < due ? busy : idle
    fs.copyFileSync(from.inbound, path.join(folder, "inbound.db"))
    fs.copyFileSync(from.outbound, path.join(folder, "outbound.db"))
    return folder
  })
  return { sweep: () => folders.reduce((found, folder) => found + sweepOne(folder), 0) }
}

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

const template = (directory: string, name: string, pending: number) => {
  const inbound = path.join(directory, `${name}-inbound.db`)
  const outbound = path.join(directory, `${name}-outbound.db`)
  const incoming = new Database(inbound)
  incoming.exec(
    "CREATE TABLE messages_in (id TEXT PRIMARY KEY, status TEXT, process_after TEXT, content TEXT)",
  )
  for (let n = 0; n < pending; n++) {
    incoming
      .prepare("INSERT INTO messages_in VALUES (?, 'pending', datetime('now', '-1 minute'), '{}')")
      .run(`m${n}`)
  }
  incoming.close()
  const outgoing = new Database(outbound)
  outgoing.exec("CREATE TABLE processing_ack (message_id TEXT PRIMARY KEY, status TEXT, status_changed TEXT)")
  outgoing.close()
  return { inbound, outbound }
}
