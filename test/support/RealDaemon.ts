/**
 * The real daemon under real trouble: a process of its own on a data directory of its own, senders that repeat what was not
 * acknowledged, and at the end the ledger and the channel's journal, compared with what the senders were told.
 */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { MessageId, GroupId } from "../../src/domain/Ids.ts"
import { type Client, client } from "../../src/layers/http/SocketClient.ts"
import { labelsOf } from "../../src/layers/process/ProcessIdentity.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import { LedgerDriver, type LedgerReader } from "../../src/services/LedgerDriver.ts"
import { plainGroup } from "../../src/domain/Group.ts"
import { patience } from "./Patience.ts"
import { inherited } from "./Environment.ts"

const SETTLE_LIMIT_MS = patience(60_000)
const BOOT_LIMIT_MS = patience(30_000)
const SESSIONS = 4
const MAIN = path.resolve(import.meta.dirname, "../../src/main.ts")

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The agents of one data directory, by what their command lines say. */
export const agentsIn = (
  dataDir: string,
): ReadonlyArray<{ readonly pid: number; readonly session: string }> =>
  fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        if (!fs.readFileSync(`/proc/${name}/environ`, "utf8").includes(dataDir)) return []
        const labels = labelsOf(fs.readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0"))
        return labels === undefined ? [] : [{ pid: Number(name), session: labels.session }]
      } catch {
        return []
      }
    })

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

export interface RealDaemonOptions {
  /** Stands before the daemon's command line: a tracer, for one. */
  readonly launcher?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Called with the directory that will hold the data, before anything is in it. */
  readonly prepare?: (dataDir: string) => void
  readonly settings?: Readonly<Record<string, unknown>>
}

export interface RealDaemon {
  readonly dataDir: string
  readonly journal: string
  /** What it said since it was last started. */
  readonly heard: () => string
  /** Starts it and does not wait. */
  readonly boot: () => ChildProcess
  readonly isUp: () => boolean
  readonly bootAndWait: () => Promise<ChildProcess>
  readonly ended: (child: ChildProcess) => Promise<void>
  readonly close: () => Promise<void>
  readonly isClosed: () => boolean
}

export const realDaemon = (options: RealDaemonOptions = {}): RealDaemon => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-real-"))
  const dataDir = path.join(root, "data")
  const journal = path.join(root, "journal.jsonl")
  fs.mkdirSync(dataDir, { mode: 0o700 })
  options.prepare?.(dataDir)
  fs.writeFileSync(
    path.join(dataDir, "lamplighter.json"),
    JSON.stringify({
      pollIntervalMs: "200ms",
      sweepIntervalMs: "1s",
      channels: { journal: { type: "file", path: journal } },
      ...options.settings,
    }),
  )
  const command = [...(options.launcher ?? []), process.execPath, MAIN, "--data", dataDir, "up"]
  let child: ChildProcess | null = null
  let heard = ""
  let closed = false
  const isUp = (): boolean => heard.includes("lamplighter is up")
  const ended = (one: ChildProcess): Promise<void> =>
    one.exitCode !== null || one.signalCode !== null
      ? Promise.resolve()
      : new Promise((resolve) => one.once("exit", () => resolve()))
  const boot = (): ChildProcess => {
    heard = ""
    const born = spawn(command[0] as string, command.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...inherited, ...options.env },
    })
    const listen = (chunk: Buffer): void => {
      heard = (heard + chunk.toString()).slice(-20_000)
    }
    born.stdout?.on("data", listen)
    born.stderr?.on("data", listen)
    child = born
    return born
  }
  return {
    dataDir,
    journal,
    heard: () => heard,
    boot,
    isUp,
    ended,
    bootAndWait: async () => {
      const born = boot()
      const deadline = Date.now() + BOOT_LIMIT_MS
      while (!isUp()) {
        if (born.exitCode !== null || Date.now() > deadline) assert.fail(`it does not come up: ${heard}`)
        await pause(20)
      }
      return born
    },
    isClosed: () => closed,
    close: async () => {
      closed = true
      if (child !== null) {
        child.kill("SIGKILL")
        await ended(child)
      }
      for (const { pid } of agentsIn(dataDir)) signal(pid, "SIGKILL")
      fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Waits until it is up, or has ended, or takes too long. */
export const untilUp = async (world: RealDaemon): Promise<void> => {
  const deadline = Date.now() + BOOT_LIMIT_MS
  while (!world.isUp() && Date.now() < deadline) await pause(20)
}

/** One request, given up soon: the daemon may die at any moment. Null: no good answer. */
export const ask = <A, E>(
  world: RealDaemon,
  request: (http: Client) => Effect.Effect<A, E>,
): Promise<A | null> =>
  Effect.runPromise(
    request(client(path.join(world.dataDir, "daemon.sock"))).pipe(
      Effect.timeout("3 seconds"),
      Effect.catchCause(() => Effect.succeed(null)),
    ),
  )

export const addEchoGroup = (world: RealDaemon) =>
  ask(world, (http) =>
    http.addGroup({
      ...plainGroup(GroupId.make("g1")),
      // Backoffs that a test can wait for.
      policy: {
        idleMs: 1_500,
        graceMs: 1_000,
        retryBaseMs: 100,
        wakeBackoffBaseMs: 100,
        wakeBackoffCapMs: 2_000,
        deliveryBaseMs: 100,
        deliveryCapMs: 2_000,
        deliveryLimit: 1_000,
      },
    }),
  )

/** One message to one of a few conversations. Null: it was not acknowledged. */
export const sendText = (world: RealDaemon, id: string, place: number) => sendTo(world, id, `p${place}`)

/** The same, to the conversation of that platform id. */
export const sendTo = (world: RealDaemon, id: string, platformId: string) =>
  ask(world, (http) =>
    http.send({
      id: MessageId.make(id),
      groupId: "g1" as never,
      mode: "shared",
      channelType: "journal",
      platformId,
      kind: "chat",
      content: { text: id },
    }),
  )

export interface Load {
  readonly acknowledged: Set<string>
  /** Sessions that were seen with two agents at once. */
  readonly doubles: Array<string>
  state: "running" | "paused" | "over"
  /** Settles when all senders have noticed that it is over. */
  readonly ended: () => Promise<void>
}

/** Senders that never rest, and somebody who looks at the process table all the while. */
export const startLoad = (world: RealDaemon, senders: number): Load => {
  const parts: Array<Promise<void>> = []
  const load: Load = {
    acknowledged: new Set(),
    doubles: [],
    state: "running",
    ended: async () => {
      await Promise.all(parts)
    },
  }
  for (let name = 0; name < senders; name++) parts.push(sender(world, load, name))
  parts.push(watcher(world, load))
  return load
}

/** Sends for ever; a message that was not acknowledged is sent again under the same id. */
const sender = async (world: RealDaemon, load: Load, name: number): Promise<void> => {
  const isOver = (): boolean => load.state === "over" || world.isClosed()
  for (let count = 0; !isOver(); count++) {
    const id = `m-${name}-${count}`
    while (!load.acknowledged.has(id)) {
      if (isOver()) return
      if ((await sendText(world, id, (count + name) % SESSIONS)) === null) await pause(30)
      else load.acknowledged.add(id)
    }
    await pause(60)
    while (load.state === "paused" && !world.isClosed()) await pause(50)
  }
}

const watcher = async (world: RealDaemon, load: Load): Promise<void> => {
  while (load.state !== "over" && !world.isClosed()) {
    const seen = new Map<string, number>()
    for (const { pid, session } of agentsIn(world.dataDir)) {
      const other = seen.get(session)
      if (other !== undefined) load.doubles.push(`session ${session} has the agents ${other} and ${pid}`)
      seen.set(session, pid)
    }
    await pause(150)
  }
}

/** What the ledger says, read beside the daemon. */
export const ledgerOf = <A>(world: RealDaemon, f: (reader: LedgerReader) => A): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(
        Layer.build(
          SqliteLedger.layer({
            path: path.join(world.dataDir, "lamplighter.db"),
            mode: "read-only",
            commit: "immediate",
          }),
        ),
        (context) => Context.get(context, LedgerDriver).read(f),
      ),
    ),
  )

/** Waits until everything that was acknowledged has ended and everything that was written is sent. */
export const untilSettled = async (world: RealDaemon, load: Load): Promise<void> => {
  const deadline = Date.now() + SETTLE_LIMIT_MS
  while (true) {
    const open = await ledgerOf(world, (reader) => ({
      unended: [...load.acknowledged].filter(
        (id) => reader.message(MessageId.make(id))?.state !== "completed",
      ),
      undelivered: reader.deliveries({ statuses: ["pending"] }, { limit: 10 }).map((row) => row.id),
      sessions: reader
        .sessions({}, { limit: 100 })
        .filter(({ queued }) => queued > 0)
        .map(
          (row) =>
            `${row.id} ${row.status}, ${row.live ? "live" : "idle"}, wakes in ${(row.wakeAt ?? Infinity) - Date.now()} ms: ${row.wakeError ?? ""}`,
        ),
    }))
    if (open.unended.length === 0 && open.undelivered.length === 0) return
    if (Date.now() > deadline) {
      assert.fail(
        `not settled: ${open.unended.length} messages (${open.unended.slice(0, 3).join(", ")}), ` +
          `deliveries ${open.undelivered.join(", ")}; sessions ${open.sessions.join("; ")}; the daemon said: ${world.heard().slice(-3_000)}`,
      )
    }
    await pause(100)
  }
}

export interface Figures {
  readonly messages: number
  readonly lives: number
  readonly lines: number
  readonly repeats: number
}

/**
 * Every accepted message ended exactly once, its answer arrived at least once, repeats carry the same key and words, and no message
 * paid a try for what the host suffered, where `tries` says so.
 */
export const checkLedger = async (
  world: RealDaemon,
  load: Load,
  tries: "none-spent" | "some-spent" = "none-spent",
): Promise<Figures> => {
  const lines = fs
    .readFileSync(world.journal, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as { deliveryId: string; inReplyTo: string | null; content: unknown }]
      } catch {
        return []
      }
    })
  const words = new Map<string, string>()
  for (const { deliveryId, content } of lines) {
    const text = JSON.stringify(content)
    assert.strictEqual(words.get(deliveryId) ?? text, text, `${deliveryId} came with other words`)
    words.set(deliveryId, text)
  }
  const said = JSON.stringify(lines)
  return ledgerOf(world, (reader) => {
    const endings = new Map<string, number>()
    for (let after: number | undefined; ;) {
      const page = reader.runs({}, { limit: 500, after })
      for (const { messageId } of page) {
        if (messageId !== null) endings.set(messageId, (endings.get(messageId) ?? 0) + 1)
      }
      after = page.at(-1)?.position
      if (page.length < 500) break
    }
    for (const id of load.acknowledged) {
      const message = reader.message(MessageId.make(id))
      assert.strictEqual(message?.state, "completed", id)
      if (tries === "none-spent") assert.strictEqual(message?.tries, 0, `${id} paid for the host's trouble`)
      assert.strictEqual(endings.get(id), 1, `${id} ended ${endings.get(id) ?? 0} times`)
      assert.isTrue(said.includes(id), `the answer to ${id} never arrived`)
    }
    for (const row of reader.deliveries({}, { limit: 10_000 })) {
      assert.strictEqual(row.status, "delivered", row.id)
      assert.isTrue(words.has(row.id), `${row.id} counts as delivered and is not in the journal`)
    }
    const lives = reader.sessions({}, { limit: 100 }).reduce((sum, { incarnation }) => sum + incarnation, 0)
    return {
      messages: load.acknowledged.size,
      lives,
      lines: lines.length,
      repeats: lines.length - words.size,
    }
  })
}

/** Stops it as an operator does, and looks at what it leaves: no agent, no live incarnation, exit code 0. */
export const stopCleanly = async (world: RealDaemon, child: ChildProcess): Promise<void> => {
  child.kill("SIGTERM")
  await world.ended(child)
  assert.strictEqual(child.exitCode, 0, world.heard())
  assert.deepStrictEqual(agentsIn(world.dataDir), [], "no orphan remains")
  assert.strictEqual(await ledgerOf(world, (reader) => reader.liveIncarnations().length), 0)
}
