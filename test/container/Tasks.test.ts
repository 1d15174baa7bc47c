/** Tasks and their scripts: one turn each, and a script that decides whether the agent wakes at all. */
import { assert, describe, it } from "@effect/vitest"
import { RunnerPair } from "../support/RunnerPair.ts"

const idle = { name: null, timeoutMs: null, startedAt: null }

describe("a task", () => {
  it("is a turn of its own, and its prompt is the text", async () => {
    await using pair = new RunnerPair()
    pair.send(
      { id: "t1", seq: 2, kind: "task", content: { prompt: "water the plants", script: null } },
      { id: "t2", seq: 4, kind: "task", content: { prompt: "feed the cat" } },
      { id: "m1", seq: 6, content: "hello" },
    )
    const runner = pair.start()
    await pair.untilAck("m1", "completed")
    assert.deepEqual(pair.texts(), ["echo: water the plants", "echo: feed the cat", "echo: hello"])
    assert.deepEqual(
      pair.outbound().map((row) => row.inReplyTo),
      ["t1", "t2", "m1"],
    )
    assert.strictEqual(await runner.turnsUntilStopped(), 3)
  })
})

describe("a script", () => {
  const task = (script: string) => ({
    id: "t1",
    seq: 2,
    kind: "task",
    content: { prompt: "report", script },
  })

  it("that says no skips the occurrence: no answer, no prompt, and context waits for another turn", async () => {
    await using pair = RunnerPair.ofCommand("touch woken; cat")
    pair.send(task('echo noise; echo \'{"wakeAgent": false, "reason": "nothing new"}\''), {
      id: "c1",
      seq: 4,
      trigger: 0,
      content: "background",
    })
    pair.start()
    const ack = await pair.untilAck("t1", "completed")
    assert.strictEqual(ack.outcome, "skipped")
    assert.deepEqual(ack.detail, { result: "nothing new" })
    assert.isUndefined(pair.ack("c1"))
    assert.deepEqual(pair.outbound(), [])
    assert.throws(() => pair.readText("woken"))
    assert.deepEqual(pair.tool(), idle)
  })

  it("that says yes hands its data to the prompt", async () => {
    await using pair = RunnerPair.ofCommand("cat")
    pair.send(task('pwd > where\necho \'{"wakeAgent": true, "data": {"unread": 3}}\'\n\n'))
    pair.start()
    const ack = await pair.untilAck("t1", "completed")
    assert.isNull(ack.outcome)
    assert.match(
      pair.texts()[0] ?? "",
      /Scheduled task:\n\[#2 .*\] task: report\n\nData from its script:\n\{"unread":3\}$/,
    )
    assert.strictEqual(pair.readText("where").trim(), pair.directory)
  })

  it("is the tool in flight with its 30 s, between two beats", async () => {
    await using pair = new RunnerPair()
    pair.send(
      task(
        "touch started; until [ -e go ] || [ ! -e container.json ]; do sleep 0.02; done; echo '{\"wakeAgent\":true}'",
      ),
    )
    pair.start()
    await pair.untilFile("started")
    assert.strictEqual(pair.tool()?.name, "script")
    assert.strictEqual(pair.tool()?.timeoutMs, 30_000)
    const before = pair.heartbeat()
    assert.isDefined(before)
    pair.touch("go")
    await pair.untilAck("t1", "completed")
    assert.notStrictEqual(pair.heartbeat(), before)
    assert.deepEqual(pair.tool(), idle)
  })

  it("longer than an argument can be still runs", async () => {
    await using pair = new RunnerPair()
    pair.send(task(`: ${"x".repeat(300_000)}\necho '{"wakeAgent": true}'`))
    pair.start()
    await pair.untilAck("t1", "completed")
    assert.deepEqual(pair.texts(), ["echo: report"])
  })

  const faults = [
    [
      "exits with an error",
      "echo '{\"wakeAgent\": true}'; echo 'no net' >&2; exit 7",
      /ended with 7: no net/,
    ],
    ["ends without JSON", "echo hello", /must be JSON like \{"wakeAgent": true\}, not 'hello'/],
    ["says something else", 'echo \'{"wakeAgent": "yes"}\'', /'wakeAgent' is missing or no boolean/],
    ["writes more than 1 MB", "head -c 2000000 /dev/zero", /wrote more than 1 MB/],
  ] as const
  for (const [what, script, error] of faults) {
    it(`that ${what} skips the occurrence and is recorded as its error`, async () => {
      await using pair = new RunnerPair()
      pair.send(task(script))
      pair.start()
      const ack = await pair.untilAck("t1", "completed")
      assert.strictEqual(ack.outcome, "skipped")
      assert.match(ack.detail?.error ?? "", error)
      assert.deepEqual(pair.outbound(), [])
    })
  }
})
