/**
 * inbound.db, which only the host writes and which may sit behind a mount without coherent shared memory: it is opened afresh
 * per look, read-only, without mmap. A file that can't be read just now (locked, a hot journal after a host crash) is no reason
 * to exit. A look at a file that did not change costs one stat.
 */
import { statSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { chooseBatch, type Choice, type Circumstances, type Heading } from "./Batch.ts"
import { messageOf } from "./Log.ts"

/** A row of `messages_in` that a turn takes. */
export interface InboundMessage extends Heading {
  readonly timestamp: string
  /** JSON text, by convention. */
  readonly content: string
}

/** Where an answer goes; all null: the host decides. */
export interface Address {
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
}

export interface Batch {
  /** Oldest first, at least one. */
  readonly triggers: ReadonlyArray<InboundMessage>
  readonly context: ReadonlyArray<InboundMessage>
  readonly answerTo: Address
}

export type Look =
  | { readonly kind: "unchanged" }
  | { readonly kind: "nothing" }
  | { readonly kind: "batch"; readonly batch: Batch }
  | { readonly kind: "unreadable"; readonly why: string }

const BUSY_TIMEOUT_MS = 5_000
const MAX_HEADINGS = 5_000
/** File times are coarse and some mounts cache attributes, so a file that changed a moment ago is read again. */
const SETTLING_MS = 2_000
/** An unchanged file is still read this often, in case a mount hides a change for good. */
const REREAD_MS = 10_000

export class Inbox {
  readonly #path: string
  #stamp = ""
  #changedAt = 0
  #readAt = Number.NEGATIVE_INFINITY
  #nextDueAtMs: number | null = null
  #largestSeq = 0
  #wakeIds: Set<string> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** The largest seq of the host seen so far. */
  get largestSeq(): number {
    return this.#largestSeq
  }

  /** Makes the next look read the file whatever its stat says: after a turn, what is open has changed. */
  forget(): void {
    this.#readAt = Number.NEGATIVE_INFINITY
  }

  /** `ackedTries` as in `Circumstances`; what it throws makes the look `unreadable`. */
  look(given: Pick<Circumstances, "nowMs" | "maxTriggers" | "ackedTries">): Look {
    try {
      if (!this.#mayHaveNews(given.nowMs)) return { kind: "unchanged" }
      const look = this.#read(given)
      this.#readAt = performance.now()
      return look
    } catch (error) {
      this.forget()
      return { kind: "unreadable", why: messageOf(error) }
    }
  }

  /** Notes the seqs that arrived since the last look, unless that would mean waiting. */
  refreshLargestSeq(): void {
    try {
      const database = this.#open(0)
      try {
        this.#noteLargestSeq(database)
      } finally {
        database.close()
      }
    } catch {
      // Keep the figure of the last look. Parity keeps every seq unique.
    }
  }

  #mayHaveNews(nowMs: number): boolean {
    const { ino, mtimeNs, size } = statSync(this.#path, { bigint: true })
    const stamp = `${ino}:${mtimeNs}:${size}`
    const now = performance.now()
    if (stamp !== this.#stamp) {
      this.#stamp = stamp
      this.#changedAt = now
    }
    return (
      now - this.#changedAt < SETTLING_MS ||
      now - this.#readAt > REREAD_MS ||
      (this.#nextDueAtMs !== null && this.#nextDueAtMs <= nowMs)
    )
  }

  #open(busyTimeoutMs: number): DatabaseSync {
    const database = new DatabaseSync(pathToFileURL(this.#path), { readOnly: true, timeout: busyTimeoutMs })
    database.exec("PRAGMA mmap_size = 0")
    return database
  }

  #read(given: Pick<Circumstances, "nowMs" | "maxTriggers" | "ackedTries">): Look {
    const database = this.#open(BUSY_TIMEOUT_MS)
    try {
      database.exec("BEGIN")
      this.#noteLargestSeq(database)
      const headings = readHeadings(database)
      this.#wakeIds ??= new Set(headings.filter((row) => row.onWake !== 0).map((row) => row.id))
      const { choice, nextDueAtMs } = chooseBatch(headings, { ...given, wakeIds: this.#wakeIds })
      this.#nextDueAtMs = nextDueAtMs
      if (choice === null) return { kind: "nothing" }
      const batch = fill(database, choice)
      for (const row of batch.triggers) this.#wakeIds.delete(row.id)
      for (const row of batch.context) this.#wakeIds.delete(row.id)
      return { kind: "batch", batch }
    } finally {
      database.close()
    }
  }

  #noteLargestSeq(database: DatabaseSync): void {
    const row = database.prepare("SELECT max(seq) AS seq FROM messages_in").get()
    this.#largestSeq = Math.max(this.#largestSeq, Number(row?.["seq"] ?? 0))
  }
}

/** Rows with RFC 9557 text are left out here already, so that no number of previews hides a message behind the limit. */
const readHeadings = (database: DatabaseSync): ReadonlyArray<Heading> =>
  database
    .prepare(
      `SELECT id, ifnull(seq, 0) AS seq, kind, process_after AS processAfter, ifnull(tries, 0) AS tries, trigger,
              on_wake AS onWake, channel_type AS channelType, platform_id AS platformId, thread_id AS threadId,
              octet_length(content) AS contentBytes
         FROM messages_in
        WHERE status = 'pending' AND (process_after IS NULL OR instr(process_after, '[') = 0)
        ORDER BY seq LIMIT ?`,
    )
    .all(MAX_HEADINGS) as unknown as ReadonlyArray<Heading>

const fill = (database: DatabaseSync, choice: Choice): Batch => {
  const content = database.prepare(
    "SELECT timestamp, CAST(content AS TEXT) AS content FROM messages_in WHERE id = ?",
  )
  const message = (row: Heading): InboundMessage => {
    const rest = content.get(row.id) as unknown as Pick<InboundMessage, "timestamp" | "content">
    return { ...row, ...rest }
  }
  const triggers = choice.triggers.map(message)
  const [first] = triggers
  const routed = first !== undefined && first.channelType !== null ? first : undefined
  return {
    triggers,
    context: choice.context.map(message),
    answerTo: routed === undefined ? sessionRouting(database) : addressOf(routed),
  }
}

const addressOf = ({ channelType, platformId, threadId }: Address): Address => ({
  channelType,
  platformId,
  threadId,
})

const sessionRouting = (database: DatabaseSync): Address => {
  const row = database
    .prepare(
      `SELECT channel_type AS channelType, platform_id AS platformId, thread_id AS threadId
         FROM session_routing WHERE id = 1`,
    )
    .get() as unknown as Address | undefined
  return addressOf(row ?? { channelType: null, platformId: null, threadId: null })
}
