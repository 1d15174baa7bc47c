/**
 * An exchange pair in a temporary directory and the real agent runner as a child process on it: what a container sees, without
 * a container. The test plays the host. Every wait has a deadline, and says what it waited for together with the runner's log.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import Database from "better-sqlite3"
import { imageOf, INBOUND_SQL, OUTBOUND_SQL } from "../../src/layers/exchange/ExchangeSchema.ts"
import { patience } from "./Patience.ts"

const NODE = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url))
const MAIN = fileURLToPath(new URL("../../container/agent-runner/main.ts", import.meta.url))
const DEADLINE_MS = patience(15_000)

export interface InboundFields {
  readonly id: string
  readonly seq: number
  readonly kind?: string
  readonly timestamp?: string
  readonly status?: string
  readonly processAfter?: string
  readonly tries?: number
  readonly trigger?: number
  readonly onWake?: number
  readonly address?: readonly [channelType: string, platformId: string, threadId: string | null]
  /** A text is wrapped as `{"text": …}`; anything else is the content itself. */
  readonly content: string | object
}

export interface Ack {
  readonly status: string
  readonly statusChanged: string
  readonly tries: number | null
  readonly outcome: string | null
  readonly detail: { readonly retryable?: boolean; readonly error?: string; readonly result?: string } | null
}

export interface Outbound {
  readonly id: string
  readonly seq: number
  readonly inReplyTo: string | null
  readonly timestamp: string
  readonly deliverAfter: string | null
  readonly kind: string
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
  readonly content: string
}

export interface Tool {
  readonly name: string | null
  readonly timeoutMs: number | null
  readonly startedAt: string | null
}

export class RunnerPair {
  readonly directory = mkdtempSync(join(tmpdir(), "lamplighter-runner-"))
  readonly inboundPath = join(this.directory, "inbound.db")
  readonly outboundPath = join(this.directory, "outbound.db")
  readonly heartbeatPath = join(this.directory, ".heartbeat")
  readonly configurationPath = join(this.directory, "container.json")
  readonly #runners: Array<Runner> = []

  /** `containerJson`: fields laid over those of a plain echo group. */
  constructor(containerJson: Readonly<Record<string, unknown>> = {}) {
    writeFileSync(this.inboundPath, imageOf(INBOUND_SQL))
    writeFileSync(this.outboundPath, imageOf(OUTBOUND_SQL))
    const plain = {
      provider: "echo",
      command: null,
      providerTimeoutMs: null,
      model: null,
      assistantName: "Ada",
      groupName: "Family",
      agentGroupId: "family",
      maxMessagesPerPrompt: 10,
      zone: "Europe/Paris",
      mcpServers: {},
      skills: [],
    }
    writeFileSync(this.configurationPath, JSON.stringify({ ...plain, ...containerJson }))
  }

  /** A pair whose agent is a bash script; it runs in the pair's directory. */
  static ofCommand(script: string, containerJson: Readonly<Record<string, unknown>> = {}): RunnerPair {
    return new RunnerPair({ provider: "command", command: ["bash", "-c", script], ...containerJson })
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  touch(name: string): void {
    writeFileSync(this.path(name), "")
  }

  /** Writes inbound rows as the host does: opened, written and closed, in one transaction. */
  send(...rows: ReadonlyArray<InboundFields>): void {
    this.#onInbound((database) => {
      const insert = database.prepare(
        `INSERT INTO messages_in (id, seq, kind, timestamp, status, process_after, series_id, tries, trigger, on_wake,
           channel_type, platform_id, thread_id, content)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      for (const row of rows) {
        const [channelType, platformId, threadId] = row.address ?? [null, null, null]
        insert.run(
          row.id,
          row.seq,
          row.kind ?? "chat",
          row.timestamp ?? "2026-11-21T09:00:00.000Z",
          row.status ?? "pending",
          row.processAfter ?? null,
          row.id,
          row.tries ?? 0,
          row.trigger ?? 1,
          row.onWake ?? 0,
          channelType,
          platformId,
          threadId,
          JSON.stringify(typeof row.content === "string" ? { text: row.content } : row.content),
        )
      }
    })
  }

  /** Any statement of the host on inbound.db. */
  execute(sql: string): void {
    this.#onInbound((database) => database.exec(sql))
  }

  /** Holds a file's write lock until the returned function is called. */
  lock(path: string): () => void {
    const database = new Database(path, { timeout: 5_000 })
    database.exec("BEGIN EXCLUSIVE")
    return () => {
      database.exec("ROLLBACK")
      database.close()
    }
  }

  ack(id: string): Ack | undefined {
    return this.#fromOutbound((database) => {
      const row = database
        .prepare(
          `SELECT status, status_changed AS statusChanged, tries, outcome, detail FROM processing_ack WHERE message_id = ?`,
        )
        .get(id) as (Omit<Ack, "detail"> & { detail: string | null }) | undefined
      return row === undefined
        ? undefined
        : { ...row, detail: row.detail === null ? null : (JSON.parse(row.detail) as Ack["detail"]) }
    })
  }

  outbound(): ReadonlyArray<Outbound> {
    return this.#fromOutbound(
      (database) =>
        database
          .prepare(
            `SELECT id, seq, in_reply_to AS inReplyTo, timestamp, deliver_after AS deliverAfter, kind,
               channel_type AS channelType, platform_id AS platformId, thread_id AS threadId, content
               FROM messages_out ORDER BY seq`,
          )
          .all() as ReadonlyArray<Outbound>,
    )
  }

  /** The texts of the outbound rows by seq. */
  texts(): ReadonlyArray<string> {
    return this.outbound().map((row) => (JSON.parse(row.content) as { text: string }).text)
  }

  tool(): Tool | undefined {
    return this.#fromOutbound(
      (database) =>
        database
          .prepare(
            `SELECT current_tool AS name, tool_declared_timeout_ms AS timeoutMs, tool_started_at AS startedAt FROM container_state`,
          )
          .get() as Tool | undefined,
    )
  }

  /** Writes to outbound.db as an earlier process of the container did. */
  asContainer(sql: string): void {
    const database = new Database(this.outboundPath)
    database.exec(sql)
    database.close()
  }

  /** Modification time of the heartbeat, in nanoseconds; undefined before the first beat. */
  heartbeat(): bigint | undefined {
    return existsSync(this.heartbeatPath) ? statSync(this.heartbeatPath, { bigint: true }).mtimeNs : undefined
  }

  start(environment: Readonly<Record<string, string>> = {}): Runner {
    const runner = new Runner(this, environment)
    this.#runners.push(runner)
    return runner
  }

  /** Polls for a condition; its value when it is neither undefined nor false. */
  async until<A>(what: string, condition: () => A | undefined | false): Promise<A> {
    const deadline = performance.now() + DEADLINE_MS
    for (;;) {
      const value = condition()
      if (value !== undefined && value !== false) return value
      if (performance.now() > deadline) {
        throw new Error(
          `waited in vain for ${what}\n${this.#runners.map((runner) => runner.log).join("\n--\n")}`,
        )
      }
      await sleep(10)
    }
  }

  untilFile(name: string): Promise<true> {
    return this.until(`the file ${name}`, () => existsSync(this.path(name)))
  }

  untilAck(id: string, status: string): Promise<Ack> {
    return this.until(`${id} to be ${status}`, () => {
      const ack = this.ack(id)
      return ack?.status === status && ack
    })
  }

  readText(name: string): string {
    return readFileSync(this.path(name), "utf8")
  }

  /** Ends what still runs and removes the directory; programs of a killed runner must end when it is gone. */
  async dispose(): Promise<void> {
    for (const runner of this.#runners) runner.kill("SIGKILL")
    await Promise.all(this.#runners.map((runner) => runner.exit))
    rmSync(this.directory, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #onInbound(body: (database: Database.Database) => void): void {
    const database = new Database(this.inboundPath, { timeout: 5_000 })
    try {
      database.pragma("journal_mode = PERSIST")
      database.transaction(() => body(database))()
    } finally {
      database.close()
    }
  }

  #fromOutbound<A>(body: (database: Database.Database) => A): A {
    const database = new Database(this.outboundPath, { readonly: true, timeout: 5_000 })
    try {
      return body(database)
    } finally {
      database.close()
    }
  }
}

export interface RunnerExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Runner {
  /** stderr so far. */
  log = ""
  /** stdout so far. */
  stdout = ""
  readonly exit: Promise<RunnerExit>
  readonly #child: ChildProcess

  constructor(pair: RunnerPair, environment: Readonly<Record<string, string>>) {
    this.#child = spawn(NODE, [MAIN, "--install", "testtest", "--session", "s1", "--incarnation", "1"], {
      cwd: pair.directory,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"],
        HOME: pair.directory,
        SESSION_INBOUND_DB_PATH: pair.inboundPath,
        SESSION_OUTBOUND_DB_PATH: pair.outboundPath,
        SESSION_HEARTBEAT_PATH: pair.heartbeatPath,
        LAMPLIGHTER_CONTAINER_JSON: pair.configurationPath,
        LAMPLIGHTER_WORKDIR: pair.directory,
        LAMPLIGHTER_POLL_MS: "40",
        ...environment,
      },
    })
    this.#child.stdout?.on("data", (bytes: Buffer) => (this.stdout += bytes.toString("utf8")))
    this.#child.stderr?.on("data", (bytes: Buffer) => (this.log += bytes.toString("utf8")))
    this.exit = new Promise((resolve) => this.#child.on("close", (code, signal) => resolve({ code, signal })))
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Stops it and counts the turns that it began: before its end, the log may still be on its way. */
  async turnsUntilStopped(): Promise<number> {
    this.kill("SIGTERM")
    await this.exit
    return this.log.match(/ info claimed /g)?.length ?? 0
  }
}
