import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { defaultGroupContainer, plainGroup } from "../../src/domain/Group.ts"
import { GroupId } from "../../src/domain/Ids.ts"
import {
  addGroup,
  agentsOf,
  api,
  type LiveDaemon,
  liveDaemon,
  report,
  sendText,
  until,
} from "../support/LiveDaemon.ts"

/** Answers after the file `go` exists; says `started` by another file first. The first life may be told to hang for ever. */
const waiting = (dir: string): readonly [string, ...Array<string>] => [
  process.execPath,
  "-e",
  `const fs=require("node:fs");const d=${JSON.stringify(dir)};` +
    `fs.appendFileSync(d+"/started","x");` +
    `const wait=()=>fs.existsSync(d+"/go")?console.log("done"):setTimeout(wait,10);wait()`,
]

const exists = (file: string) =>
  Effect.gen(function* () {
    const deadline = Date.now() + 15_000
    while (!fs.existsSync(file)) {
      if (Date.now() > deadline) return yield* Effect.die(new Error(`${file} never came`))
      yield* Effect.sleep(10)
    }
  })

/** The reason for which the session's last wake failed. */
const untilWakeFails = Effect.fnUntraced(function* (daemon: LiveDaemon) {
  const http = yield* api(daemon)
  const deadline = Date.now() + 30_000
  while (Date.now() < deadline) {
    const [session] = yield* http.sessions({})
    if (typeof session?.wakeError === "string") return session.wakeError
    yield* Effect.sleep(10)
  }
  return yield* Effect.die(new Error("no wake failed"))
})

describe("the main path, on SQLite and real processes", () => {
  it.live("answers a message, delivers the answer and leaves nothing behind at a clean shutdown", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      const child = yield* Effect.promise(() => daemon.start())
      yield* addGroup(daemon, null)
      yield* sendText(daemon, "m1", "hello")
      const { message, answers } = yield* until(daemon, "m1", ({ state }) => state === "completed")
      assert.strictEqual(message.tries, 0)
      assert.deepStrictEqual(
        answers.map((row) => JSON.parse(row.content)),
        [{ text: "echo: hello" }],
      )
      child.kill("SIGTERM")
      assert.strictEqual(yield* Effect.promise(() => daemon.ended(child)), 0)
      assert.deepStrictEqual(agentsOf(daemon.dataDir), [])
    }),
  )

  it.live("says what the runner said when it refuses its configuration, and spends no try", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      yield* Effect.promise(() => daemon.start())
      const http = yield* api(daemon)
      // A group with a program of its own may name any provider; this runtime starts Lamplighter's runner all the same.
      const container = { ...defaultGroupContainer, sandbox: { command: ["node", "/srv/own.js"] as const } }
      const provider = { name: "shout", command: null, timeoutMs: null, model: null }
      const id = GroupId.make("g1")
      yield* http.addGroup({ ...plainGroup(id), provider, container, policy: { wakeBackoffBaseMs: 100 } })
      yield* sendText(daemon, "m1", "hello")
      const failed = yield* untilWakeFails(daemon)
      assert.include(failed, "exited with code 78")
      assert.include(
        failed,
        "'provider' is \"shout\"; expected one of the providers of this runner: echo, command",
      )
      assert.strictEqual((yield* report(daemon, "m1")).message.tries, 0)
    }),
  )

  it.live("retries a message whose agent was killed in the middle, and counts exactly one try", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      yield* Effect.promise(() => daemon.start())
      yield* addGroup(daemon, waiting(daemon.dataDir))
      yield* sendText(daemon, "m1", "work")
      yield* exists(path.join(daemon.dataDir, "started"))
      yield* until(daemon, "m1", ({ state }) => state === "claimed")
      for (const pid of agentsOf(daemon.dataDir)) process.kill(pid, "SIGKILL")
      yield* until(daemon, "m1", ({ tries }) => tries === 1)
      fs.writeFileSync(path.join(daemon.dataDir, "go"), "")
      const { message, answers } = yield* until(daemon, "m1", ({ state }) => state === "completed")
      assert.strictEqual(message.tries, 1)
      assert.strictEqual(message.attempts, 2)
      assert.strictEqual(answers.length, 1)
    }),
  )

  it.live("finds its agent again after kill -9 of the daemon, and loses none of its output", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      const first = yield* Effect.promise(() => daemon.start())
      yield* addGroup(daemon, waiting(daemon.dataDir))
      yield* sendText(daemon, "m1", "work")
      yield* until(daemon, "m1", ({ state }) => state === "claimed")
      const agents = agentsOf(daemon.dataDir)
      assert.strictEqual(agents.length, 1)
      first.kill("SIGKILL")
      assert.strictEqual(yield* Effect.promise(() => daemon.ended(first)), "SIGKILL")
      assert.deepStrictEqual(agentsOf(daemon.dataDir), agents)
      fs.writeFileSync(path.join(daemon.dataDir, "go"), "")
      yield* Effect.promise(() => daemon.start())
      const { message, answers } = yield* until(daemon, "m1", ({ state }) => state === "completed")
      assert.strictEqual(message.tries, 0)
      assert.strictEqual(message.attempts, 1)
      assert.deepStrictEqual(
        answers.map((row) => JSON.parse(row.content)),
        [{ text: "done" }],
      )
      assert.strictEqual(fs.readFileSync(path.join(daemon.dataDir, "started"), "utf8"), "x")
    }),
  )

  it.live("stops a working agent at shutdown at no cost to its message", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      const first = yield* Effect.promise(() => daemon.start())
      yield* addGroup(daemon, waiting(daemon.dataDir))
      yield* sendText(daemon, "m1", "work")
      yield* until(daemon, "m1", ({ state }) => state === "claimed")
      first.kill("SIGTERM")
      assert.strictEqual(yield* Effect.promise(() => daemon.ended(first)), 0)
      assert.deepStrictEqual(agentsOf(daemon.dataDir), [])
      fs.writeFileSync(path.join(daemon.dataDir, "go"), "")
      yield* Effect.promise(() => daemon.start())
      const { message } = yield* until(daemon, "m1", ({ state }) => state === "completed")
      assert.strictEqual(message.tries, 0)
    }),
  )

  it.live.each(["signal", "request"])(
    "exits with 1 when its ledger can't write what the shutdown did: %s",
    (how) =>
      Effect.gen(function* () {
        const daemon = yield* liveDaemon
        const process = yield* Effect.promise(() => daemon.start())
        yield* addGroup(daemon, null)
        yield* sendText(daemon, "m1", "hello")
        yield* until(daemon, "m1", ({ state }) => state === "completed")
        const intruder = new Database(path.join(daemon.dataDir, "lamplighter.db"))
        intruder.exec("BEGIN IMMEDIATE")
        if (how === "signal") process.kill("SIGTERM")
        else yield* Effect.flatMap(api(daemon), (http) => http.shutdown())
        assert.strictEqual(yield* Effect.promise(() => daemon.ended(process)), 1)
        intruder.close()
      }),
  )

  it.live("kills an agent whose heartbeat is past the ceiling, and tries again", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      yield* Effect.promise(() => daemon.start({ LAMPLIGHTER_POLL_INTERVAL_MS: "200" }))
      yield* addGroup(daemon, waiting(daemon.dataDir), { ceilingMs: 500, declaredTimeoutCapMs: 500 })
      yield* sendText(daemon, "m1", "work")
      yield* until(daemon, "m1", ({ tries }) => tries === 1)
      fs.writeFileSync(path.join(daemon.dataDir, "go"), "")
      const { message } = yield* until(daemon, "m1", ({ state }) => state === "completed")
      assert.isAtLeast(message.attempts, 2)
    }),
  )

  it.live("runs a task every second, twice, without forking", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      yield* Effect.promise(() => daemon.start())
      yield* addGroup(daemon, null)
      const http = yield* api(daemon)
      const task = yield* http.addTask({
        groupId: "g1" as never,
        schedule: "every 1s",
        prompt: "tick",
        name: null,
        script: null,
        zone: null,
        ttlMs: null,
      })
      const deadline = Date.now() + 15_000
      let runs = yield* http.runs({ taskId: task.id })
      while (runs.filter((run) => run.outcome === "completed").length < 2) {
        if (Date.now() > deadline)
          return yield* Effect.die(new Error(`only these ran: ${JSON.stringify(runs)}`))
        yield* Effect.sleep(50)
        runs = yield* http.runs({ taskId: task.id })
      }
      const slots = runs.map((run) => run.slot)
      assert.strictEqual(new Set(slots).size, slots.length)
    }),
  )

  it.live("refuses a second daemon on the same data, naming the first", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      const first = yield* Effect.promise(() => daemon.start())
      const second = yield* Effect.promise(() =>
        daemon.start().then(
          () => "started",
          (error: Error) => error.message,
        ),
      )
      assert.include(second, String(first.pid))
    }),
  )

  for (const point of [
    "ledger.beginIncarnation.after",
    "mailbox.create.after",
    "runtime.start.before",
    "runtime.start.after",
    "ledger.markStarted.after",
    "mailbox.read.after",
    "ledger.ingest.before",
    "ledger.ingest.after",
    "channel.send.before",
    "channel.send.after",
  ]) {
    it.live(`recovers from a death of the daemon at ${point}`, () =>
      Effect.gen(function* () {
        const daemon = yield* liveDaemon
        const first = yield* Effect.promise(() => daemon.start({ CRASH_AT: point }))
        yield* addGroup(daemon, null)
        yield* Effect.ignore(sendText(daemon, "m1", "hello"))
        assert.strictEqual(yield* Effect.promise(() => daemon.ended(first)), "SIGKILL")
        yield* Effect.promise(() => daemon.start())
        const { message } = yield* until(daemon, "m1", ({ state }) => state === "completed")
        assert.strictEqual(message.tries, 0)
        const deadline = Date.now() + 10_000
        let rows = (yield* report(daemon, "m1")).answers
        while (rows.length !== 1 || rows[0]?.status !== "delivered") {
          if (Date.now() > deadline) return yield* Effect.die(new Error(JSON.stringify(rows)))
          yield* Effect.sleep(20)
          rows = (yield* report(daemon, "m1")).answers
        }
        assert.isAtMost(agentsOf(daemon.dataDir).length, 1)
      }),
    )
  }
})
