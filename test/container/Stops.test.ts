/** How the runner ends: told to, killed, or because nothing that it does can reach the host. */
import { assert, describe, it } from "@effect/vitest"
import { statSync } from "node:fs"
import { RunnerPair } from "../support/RunnerPair.ts"

/** Runs until the file `go` is there, or the pair is gone. */
const HELD = "echo $$ > pid; until [ -e go ] || [ ! -e container.json ]; do sleep 0.02; done; echo done"

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const startedIn = (pair: RunnerPair): Promise<number> =>
  pair.until("the command's process id", () => {
    try {
      return Number(pair.readText("pid")) || undefined
    } catch {
      return undefined
    }
  })

describe("SIGTERM", () => {
  it("ends an idle runner at once, with 0", async () => {
    await using pair = new RunnerPair()
    pair.send({ id: "m1", seq: 2, content: "hello" })
    const runner = pair.start({ LAMPLIGHTER_STOP_MS: "3600000", LAMPLIGHTER_POLL_MS: "3600000" })
    await pair.untilAck("m1", "completed")
    runner.kill("SIGTERM")
    assert.deepEqual(await runner.exit, { code: 0, signal: null })
  })

  it("lets the turn at hand finish, and claims nothing more", async () => {
    await using pair = RunnerPair.ofCommand(HELD)
    pair.send({ id: "m1", seq: 2, content: "x" })
    const runner = pair.start({ LAMPLIGHTER_STOP_MS: "3600000" })
    await startedIn(pair)
    pair.send({ id: "m2", seq: 4, content: "y" })
    runner.kill("SIGTERM")
    await pair.until("the signal to arrive", () => runner.log.includes("claiming nothing more"))
    assert.strictEqual(pair.ack("m1")?.status, "processing")
    pair.touch("go")
    assert.deepEqual(await runner.exit, { code: 0, signal: null })
    assert.strictEqual(pair.ack("m1")?.status, "completed")
    assert.deepEqual(pair.texts(), ["done"])
    assert.isUndefined(pair.ack("m2"))
  })

  it("leaves the last words of a program that hangs in the runner's log, and rings for none of them", async () => {
    await using pair = RunnerPair.ofCommand(
      `echo ::lamplighter::doorbell; for n in $(seq 900); do echo "line $n of it"; done; echo trouble >&2; printf half; ${HELD}`,
    )
    pair.send({ id: "m1", seq: 2, content: "x" })
    const runner = pair.start({ LAMPLIGHTER_STOP_MS: "200" })
    await startedIn(pair)
    runner.kill("SIGTERM")
    assert.deepEqual(await runner.exit, { code: 0, signal: null })
    for (const words of ["agent line 1 of it", "agent line 900 of it", "agent trouble", "agent half"])
      assert.include(runner.log, words)
    assert.notInclude(runner.log, "line 450 of it")
    assert.match(runner.log, /agent \[\d+ lines are left out here\]/)
    assert.strictEqual(
      runner.stdout,
      "::lamplighter::doorbell\n".repeat(2),
      "of the claim and of its release",
    )
  })

  it("gives back a turn that does not finish in time, and ends its command", async () => {
    await using pair = RunnerPair.ofCommand(`trap '' TERM; ${HELD}`)
    pair.send({ id: "m1", seq: 2, content: "x" }, { id: "c1", seq: 4, trigger: 0, content: "context" })
    const runner = pair.start({ LAMPLIGHTER_STOP_MS: "200" })
    const command = await startedIn(pair)
    assert.strictEqual(pair.ack("c1")?.status, "processing")
    runner.kill("SIGTERM")
    assert.deepEqual(await runner.exit, { code: 0, signal: null })
    assert.isUndefined(pair.ack("m1"))
    assert.isUndefined(pair.ack("c1"))
    assert.deepEqual(pair.outbound(), [])
    assert.isNull(pair.tool()?.name)
    await pair.until("the command to be gone", () => !isAlive(command))
  })

  it("gives back at once when it comes twice", async () => {
    await using pair = RunnerPair.ofCommand(HELD)
    pair.send({ id: "m1", seq: 2, content: "x" })
    const runner = pair.start({ LAMPLIGHTER_STOP_MS: "3600000" })
    await startedIn(pair)
    runner.kill("SIGTERM")
    await pair.until("the first signal to arrive", () => runner.log.includes("claiming nothing more"))
    assert.strictEqual(pair.ack("m1")?.status, "processing")
    runner.kill("SIGTERM")
    assert.deepEqual(await runner.exit, { code: 0, signal: null })
    assert.isUndefined(pair.ack("m1"))
  })

  it("gives back a task whose script runs", async () => {
    await using pair = new RunnerPair()
    pair.send({ id: "t1", seq: 2, kind: "task", content: { prompt: "x", script: HELD } })
    const runner = pair.start({ LAMPLIGHTER_STOP_MS: "50" })
    await startedIn(pair)
    runner.kill("SIGTERM")
    assert.deepEqual(await runner.exit, { code: 0, signal: null })
    assert.isUndefined(pair.ack("t1"))
    assert.isNull(pair.tool()?.name)
  })
})

describe("a kill in the middle of a turn", () => {
  it("leaves the claim open, which the next process on the same pair takes for nobody's", async () => {
    await using pair = RunnerPair.ofCommand(HELD)
    pair.send({ id: "m1", seq: 2, content: "x" })
    const first = pair.start()
    await startedIn(pair)
    first.kill("SIGKILL")
    assert.deepEqual(await first.exit, { code: null, signal: "SIGKILL" })
    assert.strictEqual(pair.ack("m1")?.status, "processing")
    assert.strictEqual(pair.tool()?.name, "command")
    pair.touch("go")
    const second = pair.start()
    await pair.untilAck("m1", "completed")
    await pair.until("its log to arrive", () => second.log.includes("cleared 1 claims of another process"))
    assert.deepEqual(pair.texts(), ["done"])
  })
})

describe("a file that can't be used just now", () => {
  it("is no reason to exit when it is inbound.db, locked for a while", async () => {
    await using pair = new RunnerPair()
    pair.send({ id: "m1", seq: 2, content: "hello" })
    const unlock = pair.lock(pair.inboundPath)
    const runner = pair.start()
    await pair.until("the runner to meet the lock", () => runner.log.includes("database is locked"))
    assert.isUndefined(pair.ack("m1"))
    unlock()
    await pair.untilAck("m1", "completed")
    assert.match(runner.log, /can be read again/)
  })

  it("is tried again when it is outbound.db", async () => {
    await using pair = RunnerPair.ofCommand(HELD)
    pair.send({ id: "m1", seq: 2, content: "x" })
    const runner = pair.start()
    await startedIn(pair)
    const unlock = pair.lock(pair.outboundPath)
    pair.touch("go")
    await pair.until("the runner to meet the lock", () => runner.log.includes("trying again"))
    unlock()
    await pair.untilAck("m1", "completed")
    assert.deepEqual(pair.texts(), ["done"])
  })

  it("ends the runner with 74 and its claim open when outbound.db stays unwritable", async () => {
    await using pair = RunnerPair.ofCommand(HELD)
    pair.send({ id: "m1", seq: 2, content: "x" })
    const runner = pair.start({ LAMPLIGHTER_WRITE_LIMIT_MS: "300" })
    await startedIn(pair)
    const unlock = pair.lock(pair.outboundPath)
    pair.touch("go")
    assert.deepEqual(await runner.exit, { code: 74, signal: null })
    unlock()
    assert.match(runner.log, /error can't write .*outbound\.db.*database is locked/)
    assert.strictEqual(pair.ack("m1")?.status, "processing")
    assert.deepEqual(pair.outbound(), [])
  })

  it("ends a command whose rows can't be written", async () => {
    await using pair = RunnerPair.ofCommand(
      `echo $$ > pid; until [ -e go ]; do sleep 0.02; done; echo '::lamplighter::outbound {"content":"x"}'; while [ -e container.json ]; do sleep 0.02; done`,
    )
    pair.send({ id: "m1", seq: 2, content: "x" })
    const runner = pair.start({ LAMPLIGHTER_WRITE_LIMIT_MS: "300" })
    const command = await startedIn(pair)
    const unlock = pair.lock(pair.outboundPath)
    pair.touch("go")
    assert.deepEqual(await runner.exit, { code: 74, signal: null })
    unlock()
    await pair.until("the command to be gone", () => !isAlive(command))
    assert.strictEqual(pair.ack("m1")?.status, "processing")
  })

  it("is missed, not made, when it is outbound.db", async () => {
    await using pair = new RunnerPair()
    const missing = pair.path("nowhere.db")
    const runner = pair.start({ SESSION_OUTBOUND_DB_PATH: missing, LAMPLIGHTER_WRITE_LIMIT_MS: "100" })
    assert.deepEqual(await runner.exit, { code: 74, signal: null })
    assert.throws(() => statSync(missing))
  })
})

describe("at its start", () => {
  it("writes nothing into a fresh pair, and beats for nothing", async () => {
    await using pair = new RunnerPair()
    const before = statSync(pair.outboundPath, { bigint: true }).mtimeNs
    const runner = pair.start({ SESSION_INBOUND_DB_PATH: pair.path("missing.db") })
    await pair.until("its first look", () => runner.log.includes("can't read"))
    assert.strictEqual(statSync(pair.outboundPath, { bigint: true }).mtimeNs, before)
    assert.isUndefined(pair.heartbeat())
    assert.strictEqual(runner.stdout, "")
    assert.notMatch(runner.log, /Warning/)
  })

  const wrong = [
    [{ provider: "oracle" }, /'provider' is "oracle"; expected one of .*echo, command/],
    [{ provider: "command", command: null }, /'command' is null; expected the program and its arguments/],
    [{ zone: "Mars/Olympus" }, /'zone' is "Mars\/Olympus"; expected an IANA time zone/],
    [{ maxMessagesPerPrompt: 0 }, /'maxMessagesPerPrompt' is 0; expected a whole number/],
    [{ providerTimeoutMs: "5" }, /'providerTimeoutMs' is "5"; expected null or whole milliseconds/],
  ] as const
  for (const [fields, message] of wrong) {
    it(`refuses ${JSON.stringify(fields)} with 78, and says what it expected`, async () => {
      await using pair = new RunnerPair(fields)
      pair.send({ id: "m1", seq: 2, content: "x" })
      const runner = pair.start()
      assert.deepEqual(await runner.exit, { code: 78, signal: null })
      assert.match(runner.log, message)
      assert.strictEqual(runner.log.trim().split("\n").length, 1)
      assert.isUndefined(pair.ack("m1"))
    })
  }

  it("refuses an outbound.db that is not the host's with 78", async () => {
    await using pair = new RunnerPair()
    pair.asContainer("ALTER TABLE processing_ack DROP COLUMN tries")
    const runner = pair.start()
    assert.deepEqual(await runner.exit, { code: 78, signal: null })
    assert.match(runner.log, /table 'processing_ack' lacks tries/)
  })
})
