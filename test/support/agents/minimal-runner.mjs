/**
 * A second runner, written from docs/exchange.md alone: it knows none of Lamplighter's code. It proves that the page is enough.
 * It writes its times as SQLite does, without a zone. A message "fail" is answered by a failed ack at its first try; everything else comes back in capitals. It never offers a row twice.
 */
import { DatabaseSync } from "node:sqlite"
import { randomUUID } from "node:crypto"
import { utimesSync, writeFileSync } from "node:fs"

const inboundPath = process.env.SESSION_INBOUND_DB_PATH ?? "/workspace/inbound.db"
const outbound = new DatabaseSync(process.env.SESSION_OUTBOUND_DB_PATH ?? "/workspace/outbound.db")
outbound.exec("PRAGMA busy_timeout=5000")
const heartbeatPath = process.env.SESSION_HEARTBEAT_PATH ?? "/workspace/.heartbeat"

const stop = new AbortController()
process.once("SIGTERM", () => stop.abort())

/** As `datetime('now')` gives it: UTC, to the second, and it does not say so. */
const sqliteNow = () => new Date().toISOString().slice(0, 19).replace("T", " ")

const beat = () => {
  writeFileSync(heartbeatPath, "")
  utimesSync(heartbeatPath, new Date(), new Date())
}

/** The oldest pending row that has not been acknowledged, and the largest seq that the host has used. */
const look = () => {
  const inbound = new DatabaseSync(inboundPath, { readOnly: true })
  try {
    inbound.exec("PRAGMA mmap_size=0; PRAGMA busy_timeout=5000")
    const acked = new Set(
      outbound
        .prepare("SELECT message_id FROM processing_ack")
        .all()
        .map((row) => row.message_id),
    )
    const rows = inbound
      .prepare("SELECT * FROM messages_in WHERE status = 'pending' AND kind <> 'system' ORDER BY seq")
      .all()
    const due = rows.find(
      (row) =>
        !acked.has(row.id) && row.trigger === 1 && (row.process_after === null || isPast(row.process_after)),
    )
    return { due, top: inbound.prepare("SELECT max(seq) AS top FROM messages_in").get().top ?? 0 }
  } finally {
    inbound.close()
  }
}

const isPast = (text) => {
  if (text.includes("[")) return false
  const zoned = /[zZ]$|[+-]\d\d:\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`
  return Date.parse(zoned) <= Date.now()
}

const acknowledge = (row, status, detail) =>
  outbound
    .prepare(
      "INSERT OR REPLACE INTO processing_ack (message_id, status, status_changed, tries, detail) VALUES (?, ?, ?, ?, ?)",
    )
    .run(row.id, status, sqliteNow(), row.tries, detail)

const answer = (row, top) => {
  const content = JSON.parse(row.content)
  const text = content.text ?? content.prompt
  outbound.exec("BEGIN IMMEDIATE")
  if (text === "fail" && row.tries === 0) {
    acknowledge(row, "failed", JSON.stringify({ retryable: true, error: "asked to fail", result: null }))
  } else {
    const mine = outbound.prepare("SELECT max(seq) AS top FROM messages_out").get().top ?? 0
    const above = Math.max(mine, top) + 1
    outbound
      .prepare(
        "INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, content) VALUES (?, ?, ?, ?, 'chat', ?)",
      )
      .run(
        `out-${randomUUID()}`,
        above % 2 === 1 ? above : above + 1,
        row.id,
        sqliteNow(),
        JSON.stringify({ text: String(text).toUpperCase() }),
      )
    acknowledge(row, "completed", null)
  }
  outbound.exec("COMMIT")
  process.stdout.write("::lamplighter::doorbell\n")
}

while (!stop.signal.aborted) {
  let found
  try {
    found = look()
  } catch {
    found = {}
  }
  if (found.due !== undefined) {
    acknowledge(found.due, "processing", null)
    beat()
    answer(found.due, found.top)
  } else {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
outbound.close()
