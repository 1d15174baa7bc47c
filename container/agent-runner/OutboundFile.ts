/**
 * outbound.db, which this runner writes and the host only reads: one connection, a rollback journal (never WAL across a mount),
 * one transaction at a time. A write that fails (a lock, a full disk) is tried again for a bounded time; after that nothing
 * that the runner does can reach the host, so `OutboundBroken` ends it with its claims left open.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { type Configuration, ConfigurationError } from "./Configuration.ts"
import { log, messageOf } from "./Log.ts"

export class OutboundBroken extends Error {
  override readonly name = "OutboundBroken"
}

/** Short, because waiting for a lock inside SQLite stops the whole process; the retries outlast longer ones. */
const BUSY_TIMEOUT_MS = 250
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2_000

export class OutboundFile {
  readonly #path: string
  readonly #writeLimitMs: number
  readonly #giveUp: AbortSignal
  #connection: DatabaseSync | undefined
  #last: Promise<unknown> = Promise.resolve()

  /** Once `giveUp` is aborted, a write that fails is not tried again. */
  constructor(options: Pick<Configuration, "outboundPath" | "writeLimitMs">, giveUp: AbortSignal) {
    this.#path = options.outboundPath
    this.#writeLimitMs = options.writeLimitMs
    this.#giveUp = giveUp
  }

  /**
   * Runs `work` in one transaction, after those asked for before. `work` may run more than once, as even a commit that
   * reports an error may have happened: what it writes must be the same each time. Rejects with `OutboundBroken`.
   */
  write<A>(what: string, work: (database: DatabaseSync) => A): Promise<A> {
    const mine = this.#last.then(() => this.#attempt(what, work))
    this.#last = mine.catch(() => undefined)
    return mine
  }

  async #attempt<A>(what: string, work: (database: DatabaseSync) => A): Promise<A> {
    const startedAt = performance.now()
    let pauseMs = FIRST_PAUSE_MS
    for (;;) {
      try {
        return this.read((database) => {
          database.exec("BEGIN IMMEDIATE")
          const result = work(database)
          database.exec("COMMIT")
          return result
        })
      } catch (error) {
        if (!isSqliteError(error)) throw error
        const leftMs = this.#writeLimitMs - (performance.now() - startedAt)
        const why = `can't write ${this.#path} (${what}): ${messageOf(error)}`
        if (leftMs <= 0 || this.#giveUp.aborted) {
          throw new OutboundBroken(`${why}; gave up, free disk space or whatever holds the lock`, {
            cause: error,
          })
        }
        if (pauseMs === FIRST_PAUSE_MS) log("warn", `${why}; trying again for ${Math.round(leftMs)} ms`)
        await sleep(Math.min(pauseMs, leftMs), undefined, { signal: this.#giveUp }).catch(() => undefined)
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      }
    }
  }

  /**
   * Reads at once; throws what SQLite throws. After an error the connection is dropped: closing rolls back what was open, and the next use
   * starts clean.
   */
  read<A>(work: (database: DatabaseSync) => A): A {
    this.#connection ??= this.#open()
    try {
      return work(this.#connection)
    } catch (error) {
      this.#connection.close()
      this.#connection = undefined
      throw error
    }
  }

  #open(): DatabaseSync {
    const url = pathToFileURL(this.#path)
    // Only the host makes this file; it would refuse another.
    url.searchParams.set("mode", "rw")
    const database = new DatabaseSync(url, { timeout: BUSY_TIMEOUT_MS })
    try {
      database.exec("PRAGMA mmap_size = 0")
      requireTables(database, this.#path)
      return database
    } catch (error) {
      database.close()
      throw error
    }
  }
}

const isSqliteError = (error: unknown): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === "ERR_SQLITE_ERROR"

const REQUIRED: Readonly<Record<string, ReadonlyArray<string>>> = {
  messages_out: ["id", "seq", "in_reply_to", "timestamp", "deliver_after", "kind", "platform_id", "content"],
  processing_ack: ["message_id", "status", "status_changed", "tries", "outcome", "detail"],
  container_state: ["id", "current_tool", "tool_declared_timeout_ms", "tool_started_at", "updated_at"],
}

const requireTables = (database: DatabaseSync, path: string): void => {
  for (const [table, columns] of Object.entries(REQUIRED)) {
    const present = new Set(
      database
        .prepare(`PRAGMA table_info(${table})`)
        .all()
        .map((row) => row["name"]),
    )
    const missing = columns.filter((column) => !present.has(column))
    if (missing.length === 0) continue
    throw new ConfigurationError(
      `${path}: table '${table}' lacks ${missing.join(", ")}; the host makes the file with the schema of docs/exchange.md`,
    )
  }
}
