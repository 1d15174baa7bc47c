/** Every mistake a user can make at the command line: a clear error that names it, a non-zero exit, and nothing lost. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { explain } from "../../src/cli/Failure.ts"
import { issueOf, reportOf } from "../../src/layers/configuration/ConfigurationError.ts"
import { commandLine } from "../support/CommandLine.ts"

const lamplighter = commandLine()
beforeAll(async () => {
  await lamplighter.run("init", "--group", "g1")
  await lamplighter.up({
    LAMPLIGHTER_LIMITS_MAX_CONTENT_BYTES: "2000",
    LAMPLIGHTER_LIMITS_MAX_PENDING_DELIVERIES: "1",
    LAMPLIGHTER_CHANNELS_DOWN_TYPE: "webhook",
    LAMPLIGHTER_CHANNELS_DOWN_URL: "http://127.0.0.1:9/",
    LAMPLIGHTER_CHANNELS_DOWN_SECRET: "0123456789abcdef0123",
  })
}, 30_000)
afterAll(() => lamplighter.close())

const refused = async (words: ReadonlyArray<string>, ...named: ReadonlyArray<string>): Promise<void> => {
  const { code, stderr, stdout } = await lamplighter.run(...words)
  assert.strictEqual(code, 1, `${words.join(" ")}: ${stdout}`)
  for (const part of named) assert.include(stderr + stdout, part)
  assert.match(stderr, /^lamplighter: .*\n$/, "one line, and no stack trace")
}

describe("bad input", () => {
  it("tells two mistakes of a configuration apart in its one line", () => {
    const issues = ["a", "b"].map((key) => issueOf(key, null, "text", `${key} is missing`))
    assert.strictEqual(explain(reportOf(issues)), "a is missing; b is missing")
  })

  it("names a session, group, message or task that does not exist", async () => {
    await refused(["send", "g1", "x", "--session", "nobody"], "nobody")
    await refused(["send", "g2", "x"], "g2", "group list")
    await refused(["messages", "show", "m-none"], "m-none")
    await refused(["task", "pause", "t-none"], "t-none")
    await refused(["session", "show", "s-none"], "s-none")
  })

  it("places the fault in a malformed cron expression, and refuses one that never fires", async () => {
    await refused(["task", "add", "g1", "61 * * * *", "tick"], "61")
    await refused(["task", "add", "g1", "0 0 30 2 *", "tick"], "never")
    await refused(["next", "61 * * * *"], "61")
    assert.deepStrictEqual(await lamplighter.json("task", "list"), [])
  })

  it("refuses a zone that does not exist", async () => {
    await refused(["task", "add", "g1", "@daily", "tick", "--zone", "Mars/Olympus"], "Mars/Olympus")
    await refused(["group", "set", "g1", "--zone", "Mars/Olympus"], "Mars/Olympus")
    await refused(["next", "@daily", "--tz", "Mars/Olympus"], "Mars/Olympus")
  })

  it("refuses a destination that is a group which is not there", async () => {
    await refused(["group", "set", "g1", "--destination", "peer=agent:g7"], "peer=agent:g7", "group add g7")
  })

  it("takes a group's lengths of time as settings take them, and says what is wrong with others", async () => {
    const { policy } = (await lamplighter.json(
      "group",
      "set",
      "g1",
      "--policy",
      '{"ceilingMs":"5 seconds"}',
    )) as {
      readonly policy: unknown
    }
    assert.deepStrictEqual(policy, { ceilingMs: 5_000 })
    await refused(["group", "set", "g1", "--policy", '{"ceilingMs":"soon"}'], "ceilingMs", "a length of time")
  })

  it("refuses an agent that no runner could start, and says what is possible", async () => {
    const cat = ["group", "add", "g3", "--command", '["cat"]']
    await refused([...cat, "--timeout-ms", "2592000000"], "timeoutMs", "between 1 and 2147483647")
    await refused([...cat, "--timeout-ms", "0"], "timeoutMs", "between 1 and 2147483647")
    await refused(["group", "add", "g3", "--command", '[""]'], "a program that is not empty")
    await refused(["group", "add", "g3", "--provider", "shout"], "shout", "echo, command")
    await refused(["group", "set", "g1", "--provider", "shout"], "shout", "echo, command")
    assert.deepStrictEqual(
      ((await lamplighter.json("group", "list")) as ReadonlyArray<{ id: string }>).map(({ id }) => id),
      ["g1"],
    )
  })

  it("refuses content over the limit and says the limit", async () => {
    await refused(["send", "g1", "x".repeat(3_000)], "2000")
    assert.deepStrictEqual(await lamplighter.json("messages", "list"), [])
  })

  it("refuses JSON that is none, and limits that no policy has", async () => {
    await refused(["send", "g1", "{not json", "--kind", "webhook"], "{not json")
    await refused(["group", "set", "g1", "--policy", `{"idelMs":1}`], "idelMs", "idleMs")
    await refused(["group", "add", "g3", "--command", "node agent.js"], "node agent.js", "--")
    await refused(["send", "g1", "x", "--at", "tomorrow"], "tomorrow", "2026-12-01T09:00:00Z")
    await refused(["send", "g1", "x", "--ttl", "soon"], "soon")
    await refused(["events", "--since", "20"], "--since 20 ", "20s")
    await refused(["events", "--since", "soon"], "--since soon ", "2026-12-01T09:00:00Z", "2h")
  })

  it("tells a bad flag whether or not a daemon runs", async () => {
    const nowhere = commandLine()
    for (const words of [
      ["group", "add", "g3", "--sandbox", '{"memoryMb":96}'],
      ["task", "add", "g1", "@daily", "tick", "--start", "soon"],
      ["task", "update", "t1", "--start", "soon"],
    ]) {
      const { code, stderr } = await nowhere.run(...words)
      assert.strictEqual(code, 1)
      assert.include(stderr, `${words.at(-2)} ${words.at(-1)}`)
      assert.notInclude(stderr, "lamplighter up")
    }
    await nowhere.close()
  })

  it("refuses flags and words that it does not know", async () => {
    const flag = await lamplighter.run("send", "g1", "x", "--wiat")
    assert.notStrictEqual(flag.code, 0)
    assert.include(flag.stderr + flag.stdout, "--wiat")
    const word = await lamplighter.run("sned", "g1", "x")
    assert.notStrictEqual(word.code, 0)
  })

  it("refuses a send when the queue of its channel is full, and keeps what was accepted", async () => {
    const first = await lamplighter.json("send", "g1", "one", "--channel", "down", "--platform", "p")
    await lamplighter.until(
      () => lamplighter.json("deliveries", "list", "--status", "pending"),
      (rows) => rows.length === 1,
    )
    await refused(["send", "g1", "two", "--channel", "down", "--platform", "p"], "down", "1")
    const { message } = await lamplighter.json("messages", "show", first.message.id)
    assert.strictEqual(message.state, "completed")
  })

  it("refuses a second daemon and a data directory that it can't use", async () => {
    const second = await lamplighter.run("up")
    assert.strictEqual(second.code, 1)
    assert.include(second.stderr + second.stdout, "is in use")
    const other = commandLine()
    fs.rmSync(other.dataDir, { recursive: true })
    fs.writeFileSync(other.dataDir, "")
    const ran = await other.run("up")
    await other.close()
    assert.strictEqual(ran.code, 1)
    assert.include(ran.stderr + ran.stdout, "is a file")
  })

  it("gives up waiting when told to, and says what it waits for", async () => {
    await lamplighter.run("group", "add", "broken", "--command", `["/no/such/program"]`)
    const waited = await lamplighter.run(
      "send",
      "broken",
      "hello",
      "--at",
      "2099-01-01T00:00:00Z",
      "--wait",
      "--timeout",
      "300ms",
    )
    assert.strictEqual(waited.code, 1)
    assert.include(waited.stderr, "still pending")
  })
})
