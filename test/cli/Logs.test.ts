/** What containers said: the log of a life that crashed, of one that ended well when that is kept, and of one that runs. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { commandLine } from "../support/CommandLine.ts"

const lamplighter = commandLine()
beforeAll(async () => {
  await lamplighter.run("init", "--group", "g1")
  await lamplighter.up({ LAMPLIGHTER_KEEP_ZERO_EXIT_LOGS: "keep" })
}, 30_000)
afterAll(() => lamplighter.close())

const crashing = JSON.stringify([
  process.execPath,
  "-e",
  `console.error("the agent is unwell"); process.kill(process.ppid, "SIGKILL")`,
])

describe("logs", () => {
  it("print the life that runs, and its log once it has ended well", async () => {
    const { message } = await lamplighter.json("send", "g1", "hello", "--wait")
    const live = await lamplighter.json("logs", message.sessionId)
    assert.strictEqual(live.incarnation, 1)
    assert.include(live.text, "started with the provider")
    assert.notInclude(live.text, "::lamplighter::doorbell")
    await lamplighter.run("session", "stop", message.sessionId)
    const ended = await lamplighter.until(
      () => lamplighter.json("session", "show", message.sessionId),
      ({ incarnations }) => incarnations[0].phase === "ended" && incarnations[0].logFile !== null,
    )
    assert.strictEqual(ended.incarnations[0].reason, "operator")
    const { text } = await lamplighter.json("logs", message.sessionId)
    for (const part of ["reason: operator", "exit code: 0", "started with the provider"])
      assert.include(text, part)
    assert.notInclude(text, "::lamplighter::doorbell")
    const { stdout } = await lamplighter.run("logs", message.sessionId)
    assert.strictEqual(stdout, text)
    const last = await lamplighter.run("logs", message.sessionId, "--tail", "2")
    assert.strictEqual(last.stdout, stdout.split("\n").slice(-3).join("\n"))
  }, 40_000)

  it("print why a life crashed, and refuse a life that there is not", async () => {
    await lamplighter.run("group", "add", "unwell", "--command", crashing, "--policy", `{"retryLimit":0}`)
    const { message } = await lamplighter.json("send", "unwell", "work")
    const failed = await lamplighter.until(
      () => lamplighter.json("messages", "show", message.id),
      (report) => report.message.state === "failed",
    )
    assert.strictEqual(failed.message.attempts, 1)
    await lamplighter.until(
      () => lamplighter.json("session", "show", message.sessionId),
      ({ incarnations }) => incarnations[0].logFile !== null,
    )
    const printed = await lamplighter.run("logs", message.sessionId, "--incarnation", "1")
    assert.include(printed.stdout, "signal: SIGKILL")
    const none = await lamplighter.run("logs", message.sessionId, "--incarnation", "99")
    assert.strictEqual(none.code, 1)
    assert.include(none.stderr, "no such life")
  }, 40_000)
})

describe("a life that was killed as stuck", () => {
  const discarding = commandLine()
  afterAll(() => discarding.close())

  it("keeps its log with its agent's last words, although it exited with 0", async () => {
    await discarding.run("init", "--group", "g1")
    await discarding.up()
    const silent = `console.error("I am about to say nothing"); setInterval(() => {}, 1e6)`
    const policy = `{"claimToleranceMs":"1s","ceilingMs":"2s","graceMs":"3s","retryLimit":0}`
    await discarding.run("group", "add", "silent", "--policy", policy, "--", process.execPath, "-e", silent)
    const { message } = await discarding.json("send", "silent", "work")
    const { incarnations } = await discarding.until(
      () => discarding.json("session", "show", message.sessionId),
      (report) => report.incarnations.some((life: { logFile: string | null }) => life.logFile !== null),
    )
    assert.strictEqual(incarnations[0].exitCode, 0)
    assert.include(["claim", "ceiling"], incarnations[0].reason)
    const { text } = await discarding.json("logs", message.sessionId, "--incarnation", "1")
    for (const part of ["exit code: 0", "I am about to say nothing"]) assert.include(text, part)
  }, 40_000)
})
