/** What makes the ledger fast, counted: how many statements an accept costs, and what may be remembered between commits. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { MessageId, SessionId } from "../../../src/domain/Ids.ts"
import { defaultHostLimits, defaultPolicy } from "../../../src/domain/Policy.ts"
import { makeCommitter } from "../../../src/layers/sqlite/LedgerCommit.ts"
import { openLedgerFile } from "../../../src/layers/sqlite/LedgerFile.ts"
import { makeReads } from "../../../src/layers/sqlite/LedgerReads.ts"
import type { Prepare } from "../../../src/layers/sqlite/LedgerTables.ts"
import { makeWrites } from "../../../src/layers/sqlite/LedgerWrites.ts"
import { plainDraft } from "../../../src/services/ledger/Accept.ts"
import { LedgerDriver } from "../../../src/services/LedgerDriver.ts"
import { SessionStore } from "../../../src/services/SessionStore.ts"
import { group, GROUP } from "../../../src/testing/Timeline.ts"

const BURST = 100
const BOUNDS = /^(BEGIN|COMMIT|SAVEPOINT|RELEASE)/

/** A store on a ledger in memory whose statements are counted. */
const countedStore = Effect.gen(function* () {
  const database = openLedgerFile({ path: ":memory:", mode: "read-write" })
  const ran: Array<string> = []
  const counted = new Map<string, ReturnType<Prepare>>()
  const prepare: Prepare = (sql) => {
    const known = counted.get(sql)
    if (known !== undefined) return known
    const statement = database.prepare<Array<unknown>>(sql)
    for (const how of ["run", "get", "all"] as const) {
      const real = statement[how].bind(statement) as (...given: Array<unknown>) => never
      statement[how] = (...given: Array<unknown>) => {
        ran.push(sql)
        return real(...given)
      }
    }
    counted.set(sql, statement)
    return statement
  }
  const committer = makeCommitter(database, prepare, makeWrites(prepare, makeReads(prepare)), {
    commit: "group",
    maxTurnMs: 60_000,
  })
  const store = yield* SessionStore.pipe(
    Effect.provide(
      SessionStore.layer({ policy: defaultPolicy, limits: defaultHostLimits, zone: "UTC" }).pipe(
        Layer.provide(
          Layer.succeed(LedgerDriver, {
            transaction: committer.transaction,
            read: (f) => Effect.sync(() => f(makeReads(prepare))),
            backup: () => Effect.void,
          }),
        ),
      ),
    ),
  )
  yield* store.putGroup({ ...group, createdAt: 0, revision: 1 })
  yield* Effect.forEach(
    Array.from({ length: 10 }, (_, n) => n),
    (n) =>
      store.resolveSession({
        id: SessionId.make(`s${n}`),
        groupId: GROUP,
        mode: "shared",
        address: { channelType: "test", platformId: `p${n}`, threadId: null },
      }),
  )
  return { database, ran, store }
})

const together = <A, E>(count: number, one: (n: number) => Effect.Effect<A, E>) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    one,
    { concurrency: "unbounded" },
  )

const assertBudget = (ran: ReadonlyArray<string>, count: number) => {
  assert.strictEqual(ran.filter((sql) => sql.startsWith("COMMIT")).length, 1)
  const statements = ran.filter((sql) => !BOUNDS.test(sql))
  // The group and the count of its channel are read once for the commit.
  assert.isAtMost(statements.length, 4 * count + 2, statements.slice(-8).join("\n"))
}

describe("a burst of accepts", () => {
  it.effect("costs one commit, and four statements for each message at most", () =>
    Effect.gen(function* () {
      const { ran, store } = yield* countedStore
      for (const dueAt of [1_000, 500]) {
        ran.length = 0
        yield* together(BURST, (n) =>
          store.accept(
            SessionId.make(`s${n % 10}`),
            plainDraft({ id: MessageId.make(`m${dueAt}-${n}`), kind: "chat", content: "{}", dueAt }),
          ),
        )
        assertBudget(ran, BURST)
      }
    }),
  )

  it.effect("that are sent from outside, too", () =>
    Effect.gen(function* () {
      const { ran, store } = yield* countedStore
      ran.length = 0
      yield* together(BURST, (n) =>
        store.send(
          [
            Result.succeed({
              to: { groupId: GROUP, channelType: "test", platformId: `p${n % 10}` },
              newSessionId: SessionId.make(`new${n}`),
              said: { text: "hello", userId: null },
              dueAt: null,
              ttlMs: null,
              draft: plainDraft({ id: MessageId.make(`m${n}`), kind: "chat", content: "{}", dueAt: 0 }),
            }),
          ],
          { owners: [], globalAdmins: [] },
        ),
      )
      assertBudget(ran, BURST)
    }),
  )

  it.effect("knows nothing of a policy or a count from before its commit", () =>
    Effect.gen(function* () {
      const { database, store } = yield* countedStore
      const accept = (id: string) =>
        store.accept(
          SessionId.make("s0"),
          plainDraft({ id: MessageId.make(id), kind: "chat", content: "{}", dueAt: 0 }),
        )
      yield* accept("m1")
      database.exec(`UPDATE groups SET policy = '{"maxQueuedMessages":1}'`)
      assert.strictEqual((yield* Effect.flip(accept("m2")))._tag, "Full")
      database.exec(`UPDATE groups SET policy = '{}'`)
      yield* accept("m2")
      const crowd = 2 * defaultHostLimits.maxPendingDeliveries
      database.exec(`INSERT INTO pending_deliveries VALUES ('test', ${crowd})`)
      assert.strictEqual((yield* Effect.flip(accept("m3")))._tag, "Full")
    }),
  )
})

describe("a document in a row", () => {
  it.effect("that is not what its column holds fails the read, and says where", () =>
    Effect.gen(function* () {
      const { database } = yield* countedStore
      const { group: read } = makeReads((sql) => database.prepare<Array<unknown>>(sql))
      // Limits may have been wider when the row was written.
      database.exec(`UPDATE groups SET provider = json_set(provider, '$.name', 'NO NAME')`)
      assert.strictEqual(read(GROUP)?.provider.name, "NO NAME")
      database.exec(`UPDATE groups SET provider = '{"name":7}'`)
      assert.throws(() => read(GROUP), /groups\.provider/)
    }),
  )
})

describe("the ledger's file", () => {
  it("is opened so that each commit waits for the disk", () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "ledger-"))
    const database = openLedgerFile({ path: path.join(directory, "l.db"), mode: "read-write" })
    assert.strictEqual(database.pragma("synchronous", { simple: true }), 2)
    assert.strictEqual(database.pragma("journal_mode", { simple: true }), "wal")
    database.close()
    fs.rmSync(directory, { recursive: true })
  })
})
