/**
 * `messages_out`: what leaves the container. The container gives odd seqs above everything it has seen, so that a seq names one
 * row of either table. Ids are made before the transaction, so that writing the same row twice makes one.
 */
import { randomUUID } from "node:crypto"
import type { DatabaseSync } from "node:sqlite"
import { formatInstant } from "./ExchangeTime.ts"
import type { Address } from "./Inbox.ts"

export interface OutboundMessage extends Address {
  readonly id: string
  /** `chat`, or `system` for an action that the host applies. */
  readonly kind: string
  /** JSON text of at most `MAX_CONTENT_BYTES`. */
  readonly content: string
  readonly inReplyTo: string | null
  /** ISO 8601 text, or null for at once. */
  readonly deliverAfter: string | null
}

/** The host refuses rows above this. */
export const MAX_CONTENT_BYTES = 1024 * 1024

const CUT_NOTE = "\n[The answer was cut here: it was longer than a message can be.]"

export const newOutboundId = (): string => `out-${randomUUID()}`

/** The JSON of a text answer; one that is too long is cut, and says so. */
export const textContent = (text: string): string => {
  const whole = JSON.stringify({ text })
  if (Buffer.byteLength(whole) <= MAX_CONTENT_BYTES) return whole
  let keep = Math.min(text.length, MAX_CONTENT_BYTES)
  for (;;) {
    // Escapes can make the JSON several times as long as the text: cut in proportion until it fits.
    const kept = text.slice(0, keep).replace(/[\uD800-\uDBFF]$/, "")
    const content = JSON.stringify({ text: kept + CUT_NOTE })
    const bytes = Buffer.byteLength(content)
    if (bytes <= MAX_CONTENT_BYTES) return content
    keep = Math.floor(Math.min(keep - 1, (keep * (MAX_CONTENT_BYTES - 1_024)) / bytes))
  }
}

/** `aboveSeq`: the largest seq seen in inbound.db. */
export const post = (
  database: DatabaseSync,
  message: OutboundMessage,
  aboveSeq: number,
  atMs: number,
): void => {
  const own = Number(database.prepare("SELECT max(seq) AS seq FROM messages_out").get()?.["seq"] ?? 0)
  const next = Math.max(own, aboveSeq) + 1
  const insert = database.prepare(
    `INSERT INTO messages_out (id, seq, in_reply_to, timestamp, deliver_after, kind, platform_id, channel_type, thread_id, content)
     VALUES ($id, $seq, $inReplyTo, $timestamp, $deliverAfter, $kind, $platformId, $channelType, $threadId, $content)
     ON CONFLICT (id) DO NOTHING`,
  )
  // A provider's row may hold more than a row of the table.
  insert.setAllowUnknownNamedParameters(true)
  insert.run({ ...message, seq: next % 2 === 0 ? next + 1 : next, timestamp: formatInstant(atMs) })
}
