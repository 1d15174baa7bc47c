/** Which inbound rows the runner takes, and which it must leave alone. */
import { assert, describe, it } from "@effect/vitest"
import { renameSync } from "node:fs"
import { RunnerPair } from "../support/RunnerPair.ts"

const zoneless = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace("T", " ")
const HOUR_MS = 3_600_000

describe("when a row is due", () => {
  for (const zone of ["Asia/Tokyo", "America/New_York"]) {
    it(`reads times without a zone as UTC where TZ is ${zone}`, async () => {
      await using pair = new RunnerPair()
      pair.send(
        { id: "later", seq: 2, content: "later", processAfter: zoneless(Date.now() + HOUR_MS) },
        { id: "past", seq: 4, content: "past", processAfter: zoneless(Date.now() - HOUR_MS) },
      )
      pair.start({ TZ: zone })
      await pair.untilAck("past", "completed")
      assert.deepEqual(pair.texts(), ["echo: past"])
      assert.isUndefined(pair.ack("later"))
    })
  }

  it("never takes a preview row, whose time is RFC 9557 text", async () => {
    await using pair = new RunnerPair()
    pair.send(
      {
        id: "preview",
        seq: 2,
        kind: "task",
        content: { prompt: "no" },
        processAfter: "2020-01-01T09:00:00+01:00[Europe/Paris]",
      },
      { id: "odd", seq: 4, content: "no", processAfter: "yesterday" },
      { id: "m1", seq: 6, content: "yes" },
    )
    pair.start()
    await pair.untilAck("m1", "completed")
    assert.deepEqual(pair.texts(), ["echo: yes"])
    assert.isUndefined(pair.ack("preview"))
    assert.isUndefined(pair.ack("odd"))
  })

  it("takes a row when its time comes, though the file does not change", async () => {
    await using pair = new RunnerPair()
    const dueAtMs = Date.now() + 1_500
    pair.send({ id: "m1", seq: 2, content: "now", processAfter: new Date(dueAtMs).toISOString() })
    pair.start()
    const ack = await pair.untilAck("m1", "completed")
    assert.isAtLeast(Date.parse(ack.statusChanged), dueAtMs)
  })

  it("leaves rows that are not pending", async () => {
    await using pair = new RunnerPair()
    pair.send(
      { id: "done", seq: 2, content: "done", status: "completed" },
      { id: "m1", seq: 4, content: "open" },
    )
    pair.start()
    await pair.untilAck("m1", "completed")
    assert.deepEqual(pair.texts(), ["echo: open"])
    assert.isUndefined(pair.ack("done"))
  })
})

describe("a row that was acked", () => {
  it("is offered again only when its tries exceed those of its ack", async () => {
    await using pair = new RunnerPair()
    pair.asContainer(
      `INSERT INTO processing_ack VALUES ('m1', 'failed', 'x', 2, NULL, '{"error":"old"}'), ('m2', 'failed', 'x', 2, NULL, NULL),
         ('m3', 'completed', 'x', NULL, NULL, NULL)`,
    )
    pair.send(
      { id: "m1", seq: 2, tries: 2, content: "same" },
      { id: "m2", seq: 4, tries: 3, content: "more" },
      { id: "m3", seq: 6, tries: 1, content: "unknown" },
    )
    pair.start()
    const again = await pair.untilAck("m2", "completed")
    assert.strictEqual(again.tries, 3)
    assert.deepEqual(pair.texts(), ["echo: more"])
    assert.strictEqual(pair.ack("m1")?.status, "failed")
    assert.strictEqual(pair.ack("m3")?.statusChanged, "x")
  })
})

describe("a row for the first poll only", () => {
  it("is taken when it is there at the start, and not when it comes later", async () => {
    await using pair = new RunnerPair()
    pair.send({ id: "w1", seq: 2, onWake: 1, content: "good morning" })
    const runner = pair.start()
    await pair.untilAck("w1", "completed")
    pair.send({ id: "w2", seq: 4, onWake: 1, content: "too late" }, { id: "m1", seq: 6, content: "hello" })
    await pair.untilAck("m1", "completed")
    assert.deepEqual(pair.texts(), ["echo: good morning", "echo: hello"])
    assert.isUndefined(pair.ack("w2"))
    assert.strictEqual(await runner.turnsUntilStopped(), 2)
  })

  it("is taken even when the first poll shows more than fit into one turn", async () => {
    await using pair = new RunnerPair({ maxMessagesPerPrompt: 1 })
    pair.send(
      { id: "w1", seq: 2, onWake: 1, content: "one" },
      { id: "w2", seq: 4, onWake: 1, content: "two" },
    )
    pair.start()
    await pair.untilAck("w2", "completed")
    assert.deepEqual(pair.texts(), ["echo: one", "echo: two"])
  })
})

describe("context", () => {
  it("never starts a turn, and rides along with the next one", async () => {
    await using pair = new RunnerPair()
    pair.send(
      { id: "c1", seq: 2, trigger: 0, content: "overheard" },
      { id: "s1", seq: 4, kind: "system", content: { action: "notice" } },
    )
    const away = pair.path("away.db")
    renameSync(pair.inboundPath, away)
    const runner = pair.start()
    await pair.until("the runner to miss the file", () => runner.log.includes("can't read"))
    renameSync(away, pair.inboundPath)
    await pair.until("the runner to have looked", () => runner.log.includes("can be read again"))
    pair.send({ id: "m1", seq: 6, content: "hello" })
    await pair.untilAck("m1", "completed")
    assert.deepEqual(pair.texts(), ["echo: hello"])
    assert.strictEqual(pair.ack("c1")?.status, "completed")
    assert.strictEqual(pair.ack("s1")?.status, "completed")
    assert.strictEqual(await runner.turnsUntilStopped(), 1)
  })
})
