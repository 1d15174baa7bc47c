import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { MessageId } from "../../src/domain/Ids.ts"
import { client } from "../../src/layers/http/SocketClient.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import { labelsOf } from "../../src/layers/process/AgentArguments.ts"
import { LedgerDriver } from "../../src/services/LedgerDriver.ts"
import { seededRandom } from "../../src/testing/SeededRandom.ts"

/** `LAMPLIGHTER_KILLS=200` for the long campaign; `LAMPLIGHTER_KILL_SEED` for other moments. */
const KILLS = Number(process.env["LAMPLIGHTER_KILLS"] ?? 5)
const SEED = process.env["LAMPLIGHTER_KILL_SEED"] ?? "kill-nine"
const CONVERGE_EVERY = 20
const CONVERGE_LIMIT_MS = 60_000
const SESSIONS = 4
const SENDERS = 3

const main = path.resolve(import.meta.dirname, "../../src/main.ts")
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The agents of one data directory, by what their command lines say. */
const agentsIn = (dataDir: string): ReadonlyArray<{ readonly pid: number; readonly session: string }> =>
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

const makeWorld = () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-kill-"))
  const dataDir = path.join(root, "data")
  const journal = path.join(root, "journal.jsonl")
  fs.mkdirSync(dataDir, { mode: 0o700 })
  fs.writeFileSync(
    path.join(dataDir, "lamplighter.json"),
    JSON.stringify({
      pollIntervalMs: "200ms",
      sweepIntervalMs: "1s",
      channels: { journal: { type: "file", path: journal } },
    }),
  )
  let child: ChildProcess | null = null
  let heard = ""
  const ended = (one: ChildProcess): Promise<void> =>
    one.exitCode !== null || one.signalCode !== null
      ? Promise.resolve()
      : new Promise((resolve) => one.once("exit", () => resolve()))
  return {
    dataDir,
    journal,
    heard: () => heard,
    boot: (): ChildProcess => {
      heard = ""
      const born = spawn(process.execPath, [main, "--data", dataDir, "up"], {
        stdio: ["ignore", "pipe", "pipe"],
      })
      const listen = (chunk: Buffer): void => {
        heard = (heard + chunk.toString()).slice(-20_000)
      }
      born.stdout.on("data", listen)
      born.stderr.on("data", listen)
      child = born
      return born
    },
    isUp: () => heard.includes("lamplighter is up"),
    ended,
    close: async () => {
      if (child !== null) {
        child.kill("SIGKILL")
        await ended(child)
      }
      for (const { pid } of agentsIn(dataDir)) signal(pid, "SIGKILL")
      fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
type World = ReturnType<typeof makeWorld>

/** One request, given up soon: the daemon may die at any moment. */
const ask = <A, E>(world: World, request: (http: Client) => Effect.Effect<A, E>): Promise<A | null> =>
  Effect.runPromise(
    client(path.join(world.dataDir, "daemon.sock")).pipe(
      Effect.flatMap(request),
      Effect.timeout("3 seconds"),
      Effect.catchCause(() => Effect.succeed(null)),
      Effect.scoped,
    ),
  )
type Client = Effect.Success<ReturnType<typeof client>>

const addGroup = (world: World) =>
  ask(world, (http) =>
    http.addGroup({
      payload: {
        id: "g1" as never,
        name: "g1",
        assistantName: "g1",
        provider: { name: "echo", command: null, timeoutMs: null, model: null },
        zone: null,
        policy: { idleMs: 1_500, graceMs: 1_000, retryBaseMs: 100, wakeBackoffBaseMs: 100 },
        destinations: [],
        admins: [],
        imageTag: null,
        runnerReoffers: true,
      },
    }),
  )

const send = (world: World, id: string, place: number) =>
  ask(world, (http) =>
    http.send({
      payload: {
        id: MessageId.make(id),
        groupId: "g1" as never,
        mode: "shared",
        channelType: "journal",
        platformId: `p${place}`,
        kind: "chat",
        content: { text: id },
      },
    }),
  )

interface Load {
  readonly acknowledged: Set<string>
  readonly doubles: Array<string>
  state: "running" | "paused" | "over"
}

/** Sends for ever; a message that was not acknowledged is sent again under the same id. */
const sender = async (world: World, load: Load, name: number): Promise<void> => {
  const isOver = (): boolean => load.state === "over"
  for (let count = 0; !isOver(); count++) {
    const id = `m-${name}-${count}`
    while (!load.acknowledged.has(id)) {
      if (isOver()) return
      if ((await send(world, id, (count + name) % SESSIONS)) === null) await pause(30)
      else load.acknowledged.add(id)
    }
    await pause(60)
    while (load.state === "paused") await pause(50)
  }
}

/** Looks at the process table all the while: two agents of one session at once must never be seen. */
const watcher = async (world: World, load: Load): Promise<void> => {
  while (load.state !== "over") {
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
const ledgerOf = <A>(
  world: World,
  f: (reader: Parameters<Parameters<LedgerDriver["Service"]["read"]>[0]>[0]) => A,
) =>
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

const untilSettled = async (world: World, load: Load): Promise<void> => {
  const deadline = Date.now() + CONVERGE_LIMIT_MS
  while (true) {
    const open = await ledgerOf(world, (reader) => ({
      unended: [...load.acknowledged].filter(
        (id) => reader.message(MessageId.make(id))?.state !== "completed",
      ),
      undelivered: reader.deliveries({ statuses: ["pending"] }, { limit: 10 }).map((row) => row.id),
    }))
    if (open.unended.length === 0 && open.undelivered.length === 0) return
    if (Date.now() > deadline) {
      assert.fail(
        `not settled: ${open.unended.length} messages (${open.unended.slice(0, 3).join(", ")}), ` +
          `deliveries ${open.undelivered.join(", ")}; the daemon said: ${world.heard().slice(-2_000)}`,
      )
    }
    await pause(100)
  }
}

const bootAndWait = async (world: World): Promise<ChildProcess> => {
  const child = world.boot()
  const deadline = Date.now() + 30_000
  while (!world.isUp()) {
    if (child.exitCode !== null || Date.now() > deadline) assert.fail(`it does not come up: ${world.heard()}`)
    await pause(20)
  }
  return child
}

describe("kill -9 under load", () => {
  it(
    `keeps every promise over ${KILLS} kills at random moments`,
    { timeout: 120_000 + KILLS * 6_000 },
    async () => {
      const world = makeWorld()
      const random = seededRandom(SEED)
      const load: Load = { acknowledged: new Set(), doubles: [], state: "running" }
      try {
        let child = await bootAndWait(world)
        assert.isNotNull(await addGroup(world))
        const senders = Array.from({ length: SENDERS }, (_, name) => sender(world, load, name))
        const watching = watcher(world, load)
        let early = 0
        for (let kill = 1; kill <= KILLS; kill++) {
          await pause(random.between(0, 2_500))
          if (!world.isUp()) early += 1
          child.kill("SIGKILL")
          await world.ended(child)
          if (kill % CONVERGE_EVERY === 0 || kill === KILLS) {
            load.state = "paused"
            child = await bootAndWait(world)
            await untilSettled(world, load)
            load.state = "running"
          } else {
            child = world.boot()
          }
        }
        load.state = "over"
        await Promise.all([...senders, watching])
        await untilSettled(world, load)
        child.kill("SIGTERM")
        await world.ended(child)
        assert.strictEqual(child.exitCode, 0, world.heard())

        assert.deepStrictEqual(load.doubles, [])
        assert.deepStrictEqual(agentsIn(world.dataDir), [], "no orphan remains")
        assert.isAbove(load.acknowledged.size, KILLS)
        const figures = await checkLedger(world, load)
        console.log(
          `kill -9: ${KILLS} kills (${early} before it was up, seed ${SEED}), ${load.acknowledged.size} messages, ` +
            `${figures.lives} incarnations, ${figures.lines} lines delivered, ${figures.repeats} of them repeats with their key`,
        )
      } finally {
        load.state = "over"
        await world.close()
      }
    },
  )
})

/** Every accepted message ended exactly once, its answer arrived at least once, and repeats carry the same key and words. */
const checkLedger = async (world: World, load: Load) => {
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
      assert.strictEqual(message?.tries, 0, `${id} paid for a crash of the daemon`)
      assert.strictEqual(endings.get(id), 1, `${id} ended ${endings.get(id) ?? 0} times`)
      assert.isTrue(said.includes(id), `the answer to ${id} never arrived`)
    }
    assert.strictEqual(reader.liveIncarnations().length, 0)
    for (const row of reader.deliveries({}, { limit: 10_000 })) {
      assert.strictEqual(row.status, "delivered", row.id)
      assert.isTrue(words.has(row.id), `${row.id} counts as delivered and is not in the journal`)
    }
    const lives = reader.sessions({}, { limit: 100 }).reduce((sum, { incarnation }) => sum + incarnation, 0)
    return { lives, lines: lines.length, repeats: lines.length - words.size }
  })
}
