/**
 * The exchange format is a contract: a second runner, written from docs/exchange.md alone, works on the same daemon. It offers no
 * row twice in one life, so a retry needs a fresh container.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { InstallId, MessageId } from "../../src/domain/Ids.ts"
import { defaultHostLimits, defaultPolicy } from "../../src/domain/Policy.ts"
import * as LocalWorkspace from "../../src/layers/files/LocalWorkspace.ts"
import * as MemoryChannels from "../../src/layers/memory/MemoryChannels.ts"
import { ProcessRuntime } from "../../src/layers/process/ProcessRuntime.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../../src/layers/exchange/SqliteMailbox.ts"
import type { ShownMessage } from "../../src/domain/Message.ts"
import { makeNudge } from "../../src/services/Nudge.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { Sweep } from "../../src/services/Sweep.ts"
import { group, GROUP, startDaemon } from "../../src/testing/Timeline.ts"

const install = InstallId.make("secondrunner")
const runnerEntry = fileURLToPath(new URL("../support/agents/minimal-runner.mjs", import.meta.url))

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-second-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
)

/** The daemon in this process, on real files and child processes, with another runner than Lamplighter's own. */
const world = Effect.fnUntraced(function* (dataDir: string) {
  const nudges = { look: yield* makeNudge, deliver: yield* makeNudge }
  const workspace = LocalWorkspace.layer({
    dataDir,
    exitLogRetention: { count: 5, ageMs: 60_000 },
    maxLogBytes: 100_000,
  })
  const ledger = SqliteLedger.layer({
    path: path.join(dataDir, "lamplighter.db"),
    mode: "read-write",
    commit: "group",
  })
  const base = Layer.mergeAll(
    SessionStore.layer({
      policy: { ...defaultPolicy, retryBaseMs: 100, graceMs: 2_000 },
      limits: defaultHostLimits,
      zone: "UTC",
    }).pipe(Layer.provide(ledger)),
    ProcessRuntime.layer({
      dataDir,
      install,
      runnerEntry,
      nodePath: process.execPath,
      maxOutputBytes: 100_000,
    }),
    MemoryChannels.layer(["stdout"]),
    workspace,
  ).pipe(Layer.provideMerge(SqliteMailbox.layer({ dataDir })))
  const services = Operations.layer({ runtime: "process", owners: [], globalAdmins: [], ...nudges }).pipe(
    Layer.provideMerge(Sweep.layer(install)),
    Layer.provideMerge(base),
  )
  return { nudges, services }
})

const ended = (id: string, wanted: (message: ShownMessage) => boolean) =>
  Effect.gen(function* () {
    const operations = yield* Operations
    const deadline = Date.now() + 15_000
    while (true) {
      const report = yield* operations.message({ id: MessageId.make(id) })
      if (wanted(report.message)) return report
      if (Date.now() > deadline)
        return yield* Effect.die(new Error(`message ${id} stays ${JSON.stringify(report.message)}`))
      yield* Effect.sleep(20)
    }
  })

describe("a runner that nobody here wrote", () => {
  // The host is far from UTC, and the runner's times say no zone: they are UTC all the same.
  beforeAll(() => void (process.env["TZ"] = "Asia/Tokyo"))
  afterAll(() => void delete process.env["TZ"])

  it.live("answers messages, and a failed one is offered again by a fresh container", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDirectory
      const { nudges, services } = yield* world(dataDir)
      yield* Effect.gen(function* () {
        yield* Effect.acquireRelease(startDaemon(nudges), Fiber.interrupt)
        const operations = yield* Operations
        yield* operations.addGroup({ ...group, runnerReoffers: false })
        const send = (id: string, text: string) =>
          operations.send({ id: MessageId.make(id), groupId: GROUP, kind: "chat", content: { text } })
        assert.strictEqual(new Date(0).getHours(), 9, "this host is in Tokyo")
        yield* send("m1", "hello")
        yield* send("m2", "fail")
        const first = yield* ended("m1", ({ state }) => state === "completed")
        assert.deepStrictEqual(
          first.answers.map((row) => JSON.parse(row.content)),
          [{ text: "HELLO" }],
        )
        const second = yield* ended("m2", ({ state }) => state === "completed")
        assert.strictEqual(second.message.tries, 1)
        assert.strictEqual(second.message.attempts, 2)
        assert.deepStrictEqual(
          second.answers.map((row) => JSON.parse(row.content)),
          [{ text: "FAIL" }],
        )
        for (const { message } of [first, second]) {
          const apartMs = Math.abs((message.claimedAt ?? 0) - message.acceptedAt)
          assert.isBelow(apartMs, 3_600_000, "no claim is hours away from its message")
        }
        const store = yield* SessionStore
        const lives = yield* store.read((reader) =>
          reader.incarnations(first.message.sessionId, { limit: 10 }),
        )
        assert.strictEqual(lives.length, 2, "the retry came in a second life")
      }).pipe(Effect.scoped, Effect.provide(services))
    }),
  )
})
