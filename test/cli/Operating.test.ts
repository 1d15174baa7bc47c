/** One daemon, operated by its commands from `init` to `down`, and what they say when it is down. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { commandLine, runHere } from "../support/CommandLine.ts"

const lamplighter = commandLine()
afterAll(() => lamplighter.close())

describe("from init to down", () => {
  beforeAll(async () => {
    await lamplighter.run("init", "--group", "g1")
    await lamplighter.up()
  }, 30_000)

  it("prepares a private data directory, and repeating it changes nothing", async () => {
    const fresh = commandLine()
    try {
      const first = await fresh.json("init", "--group", "g1")
      assert.deepInclude(first, { wrote: "written", added: "added" })
      assert.strictEqual(fs.statSync(path.join(fresh.dataDir, "lamplighter.json")).mode & 0o777, 0o600)
      fs.writeFileSync(path.join(fresh.dataDir, "lamplighter.json"), `{"zone":"Asia/Tokyo"}`)
      const second = await fresh.json("init", "--group", "g1")
      assert.deepInclude(second, { wrote: "kept", added: "kept" })
      assert.strictEqual(
        fs.readFileSync(path.join(fresh.dataDir, "lamplighter.json"), "utf8"),
        `{"zone":"Asia/Tokyo"}`,
      )
    } finally {
      await fresh.close()
    }
  })

  it("keeps its socket to its user", () => {
    const { mode } = fs.statSync(path.join(lamplighter.dataDir, "daemon.sock"))
    assert.strictEqual(mode & 0o777, 0o600)
  })

  it("sends, waits and prints the answer, from an argument and from stdin", async () => {
    const sent = await lamplighter.run("send", "g1", "hello", "--wait")
    assert.deepStrictEqual([sent.code, sent.stdout], [0, "echo: hello\n"])
    const piped = await lamplighter.runWith({ input: "from a pipe" }, "send", "g1", "-", "--wait")
    assert.deepStrictEqual([piped.code, piped.stdout], [0, "echo: from a pipe\n"])
  })

  it("takes the same id and content again as the same message, and other content as a conflict", async () => {
    const first = await lamplighter.json("send", "g1", "once", "--id", "same-1")
    const again = await lamplighter.json("send", "g1", "once", "--id", "same-1")
    assert.deepStrictEqual([first.outcome, again.outcome], ["accepted", "existing"])
    const other = await lamplighter.run("send", "g1", "something else", "--id", "same-1")
    assert.strictEqual(other.code, 1)
    assert.include(other.stderr, "same-1")
  })

  it("holds a message for its time, shows it, cancels it and redrives it", async () => {
    const { message } = await lamplighter.json("send", "g1", "later", "--at", "2099-01-01T00:00:00Z")
    assert.strictEqual(message.state, "pending")
    assert.strictEqual((await lamplighter.json("messages", "cancel", message.id)).state, "cancelled")
    const redriven = await lamplighter.json("messages", "redrive", message.id)
    assert.strictEqual(redriven.redriveOf, message.id)
    const ids = (await lamplighter.json("messages", "list", "--state", "cancelled")).map(
      ({ id }: { id: string }) => id,
    )
    assert.deepStrictEqual(ids, [message.id])
    const { message: shown } = await lamplighter.json("messages", "show", message.id)
    assert.strictEqual(shown.state, "cancelled")
  })

  it("lets context ride along with the next message instead of waking an agent", async () => {
    const { message } = await lamplighter.json(
      "send",
      "g1",
      "by the way",
      "--context",
      "--mode",
      "per-thread",
      "--thread",
      "t9",
    )
    const { session } = await lamplighter.json("session", "show", message.sessionId)
    assert.deepStrictEqual([session.live, session.queued], [false, 1])
    const asked = await lamplighter.run(
      "send",
      "g1",
      "so?",
      "--mode",
      "per-thread",
      "--thread",
      "t9",
      "--wait",
    )
    assert.strictEqual(asked.stdout, "echo: so?\n")
    const riding = await lamplighter.json("messages", "show", message.id)
    assert.deepInclude(riding.message, { state: "completed", tries: 0 })
  })

  it("takes a program as a path or after --, and removes a group whose work has ended", async () => {
    const shell = await lamplighter.json("group", "add", "shell", "--command", "/bin/cat")
    assert.deepInclude(shell.provider, { name: "command", command: ["/bin/cat"] })
    const asJson = await lamplighter.run("--json", "group", "set", "shell", "--", "/bin/cat", "-n")
    assert.strictEqual(asJson.code, 2, "flags stand behind their command")
    await lamplighter.run("group", "set", "shell", "--", "/bin/cat", "-n")
    const { provider } = await lamplighter.json("group", "show", "shell")
    assert.deepStrictEqual(provider.command, ["/bin/cat", "-n"])
    await lamplighter.run("send", "shell", "later", "--at", "2099-01-01T00:00:00Z")
    const refused = await lamplighter.run("group", "remove", "shell")
    assert.strictEqual(refused.code, 1)
    assert.include(refused.stderr, "has 0 tasks and 1 message that have not ended")
    assert.include(refused.stderr, "group remove shell --queued cancel")
    assert.strictEqual((await lamplighter.run("group", "remove", "shell", "--queued", "cancel")).code, 0)
    const unknown = await lamplighter.run("group", "add", "sh", "--provider", "shout")
    assert.strictEqual(unknown.code, 1)
    assert.include(unknown.stderr, "shout")
  })

  it("cancels a message that an agent works on, when it is told to", async () => {
    await lamplighter.run("group", "add", "slow", "--", "sleep", "600")
    const { message } = await lamplighter.json("send", "slow", "take your time")
    await lamplighter.until(
      () => lamplighter.json("messages", "show", message.id),
      (report) => report.message.state === "claimed",
    )
    const refused = await lamplighter.run("messages", "cancel", message.id)
    assert.strictEqual(refused.code, 1)
    assert.include(refused.stderr, `messages cancel --running ${message.id}'`)
    assert.strictEqual(
      (await lamplighter.json("messages", "cancel", message.id, "--running")).state,
      "cancelled",
    )
  })

  it("sends a batch from stdin, with a result for each line", async () => {
    const input = [
      { text: "first", id: "b-1" },
      { text: "", groupId: "nobody" },
      { content: { text: "second" }, id: "b-2" },
      { txet: "third" },
    ]
      .map((line) => `${JSON.stringify(line)}\n`)
      .join("\n")
    const ran = await lamplighter.runWith({ input }, "send", "--batch", "--group", "g1")
    assert.strictEqual(ran.code, 1)
    assert.include(ran.stderr, "2 of 4 messages were not accepted")
    assert.deepStrictEqual(
      ran.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .map(({ id, line, outcome }) => [line, outcome, id]),
      [
        // As an editor numbers them: empty lines count.
        [1, "accepted", "b-1"],
        [3, "failed", null],
        [5, "accepted", "b-2"],
        [7, "failed", null],
      ],
    )
    const again = await lamplighter.runWith({ input }, "send", "--batch", "--group", "g1")
    assert.include(again.stdout, `"outcome":"existing","id":"b-2"`)
    const empty = await lamplighter.runWith({ input: "" }, "send", "g1", "-")
    assert.deepStrictEqual([empty.code, empty.stdout], [1, ""])
    assert.include(empty.stderr, "empty")
  })

  it("shows the last events, and all of them or those since an instant when asked", async () => {
    const { message } = await lamplighter.json("send", "g1", "quiet after this", "--wait")
    const events = (...words: ReadonlyArray<string>) =>
      lamplighter.json("events", "--session", message.sessionId, ...words)
    const all = await events("--all")
    assert.isAbove(all.length, 10)
    assert.deepStrictEqual(await events("--tail", "3"), all.slice(-3))
    assert.deepStrictEqual(await events(), all.slice(-50))
    assert.deepStrictEqual(
      await events("--since", new Date(all.at(-4).at).toISOString()),
      all.filter(({ at }: { at: number }) => at >= all.at(-4).at),
    )
    assert.deepStrictEqual(await events("--since", "1d"), all)
  })

  it("shows instants to people as people read them, and what agents wrote as escapes on a terminal", async () => {
    const { message } = await lamplighter.json("send", "g1", "\u001b[2Jgone\u009b31m", "--wait")
    const words = ["--data", lamplighter.dataDir, "messages", "show", message.id]
    const shown = await runHere(words, "terminal")
    assert.match(shown.stdout, /^acceptedAt: \d{4}-\d\d-\d\dT[\d:.]+Z$/m)
    assert.notMatch(shown.stdout, /\b1[0-9]{12}\b/)
    assert.include(shown.stdout, "answer: echo: \\u001b[2Jgone\\u009b31m")
    assert.include((await runHere(["--raw", ...words], "terminal")).stdout, "echo: \u001b[2Jgone\u009b31m")
    assert.include((await runHere(words)).stdout, "echo: \u001b[2Jgone\u009b31m")
    const json = await runHere([...words, "--json"], "terminal")
    assert.notInclude(json.stdout, "\u009b")
    assert.strictEqual(JSON.parse(json.stdout).message.id, message.id)
    const session = await lamplighter.run("session", "show", message.sessionId)
    assert.notMatch(session.stdout, /\b1[0-9]{12}\b/)
  })

  it("pages through listings", async () => {
    const all: ReadonlyArray<{ id: string }> = await lamplighter.json("messages", "list")
    assert.isAbove(all.length, 2)
    const [first] = await lamplighter.json("messages", "list", "--limit", "1")
    const rest = await lamplighter.json("messages", "list", "--after", first.id)
    assert.deepStrictEqual([first, ...rest], all)
  })

  it("changes a group, and refuses a change of what somebody else has changed since", async () => {
    const before = await lamplighter.json("group", "show", "g1")
    const destinations = ["--destination", "ann=journal:c1", "--destination", "other=agent:g1"]
    const limits = ["--zone", "Europe/Paris", "--policy", `{"idleMs":60000}`, "--admin", "ann,bob"]
    const after = await lamplighter.json("group", "set", "g1", ...limits, ...destinations)
    assert.deepInclude(after, { zone: "Europe/Paris", policy: { idleMs: 60_000 }, admins: ["ann", "bob"] })
    assert.deepStrictEqual(
      after.destinations.map(({ name, type }: { name: string; type: string }) => [name, type]),
      [
        ["ann", "channel"],
        ["other", "agent"],
      ],
    )
    assert.strictEqual(after.provider.name, before.provider.name, "what was not said stays")
    const stale = await lamplighter.run(
      "group",
      "set",
      "g1",
      "--zone",
      "UTC",
      "--revision",
      String(before.revision),
    )
    assert.strictEqual(stale.code, 1)
    assert.include(stale.stderr, `revision ${after.revision}`)
  })

  it("holds a session, tells why nothing starts, and releases it", async () => {
    const { message } = await lamplighter.json(
      "send",
      "g1",
      "first",
      "--mode",
      "per-thread",
      "--thread",
      "held",
    )
    const session = message.sessionId
    await lamplighter.run("session", "hold", session)
    const held = await lamplighter.json("send", "g1", "second", "--session", session)
    assert.strictEqual((await lamplighter.json("session", "show", session)).session.status, "held")
    await lamplighter.run("session", "release", session)
    await lamplighter.until(
      () => lamplighter.json("messages", "show", held.message.id),
      (report) => report.message.state === "completed",
    )
  })

  it("prints the answer of a turn to everybody whose message it answers", async () => {
    const say = ["--mode", "per-thread", "--thread", "both"]
    // Its end is waited for: a hold that stops its container before it is answered would have it answered with the others.
    const { message } = await lamplighter.json("send", "g1", "zero", ...say, "--wait")
    assert.strictEqual(message.state, "completed")
    await lamplighter.run("session", "hold", message.sessionId)
    await lamplighter.until(
      () => lamplighter.json("session", "show", message.sessionId),
      ({ session }) => session.live === false,
    )
    const one = lamplighter.run("send", "g1", "one", ...say, "--id", "both-1", "--wait")
    const two = lamplighter.run("send", "g1", "two", ...say, "--id", "both-2", "--wait")
    await lamplighter.until(
      () => lamplighter.json("session", "show", message.sessionId),
      ({ session }) => session.queued >= 2,
    )
    await lamplighter.run("session", "release", message.sessionId)
    const ran = await Promise.all([one, two])
    for (const [{ code, stderr, stdout }, other] of [
      [ran[0], "both-2"],
      [ran[1], "both-1"],
    ] as const) {
      assert.strictEqual(code, 0, stderr)
      assert.include(stdout, "one")
      assert.include(stdout, "two")
      assert.include(stderr, `answered together with ${other}\n`)
    }
    const shown = await lamplighter.run("messages", "show", "both-1")
    assert.include(shown.stdout, "answered together with: both-2\n")
  })

  it("answers what a hold kept from its container together with what came meanwhile", async () => {
    const say = ["--mode", "per-thread", "--thread", "kept"]
    const later = await lamplighter.json("send", "g1", "later", ...say, "--at", "2099-01-01T00:00:00Z")
    const { sessionId } = later.message
    await lamplighter.run("session", "hold", sessionId)
    const ids = ["kept-1", "kept-2", "kept-3"]
    for (const id of ids) await lamplighter.run("send", "g1", id, ...say, "--id", id)
    await lamplighter.run("session", "release", sessionId)
    for (const id of ids) {
      const report = await lamplighter.until(
        () => lamplighter.json("messages", "show", id),
        ({ message }) => message.state === "completed",
      )
      assert.deepStrictEqual(
        report.answeredWith,
        ids.filter((other) => other !== id),
      )
      assert.deepStrictEqual(report.answers.length, 1)
    }
  })

  it("copies its ledger while it runs, and never over a file", async () => {
    const file = path.join(lamplighter.dataDir, "copy.db")
    const made = await lamplighter.json("backup", file)
    assert.strictEqual(made.bytes, fs.statSync(file).size)
    const again = await lamplighter.run("backup", file)
    assert.strictEqual(again.code, 1)
    assert.include(again.stderr, "never overwrites")
  })

  it("goes down cleanly; then what reads still answers, and what changes says how to go on", async () => {
    const listed = await lamplighter.json("messages", "list")
    const unclear = await lamplighter.run("down", "--timeout", "30")
    assert.deepStrictEqual([unclear.code, unclear.stdout], [1, ""])
    assert.include(unclear.stderr, "the unit is missing")
    const down = await lamplighter.run("down")
    assert.strictEqual(down.code, 0, down.stderr)
    assert.isFalse(fs.existsSync(path.join(lamplighter.dataDir, "daemon.sock")))
    assert.deepStrictEqual(await lamplighter.json("messages", "list"), listed)
    for (const words of [
      ["status"],
      ["group", "list"],
      ["group", "show", "g1"],
      ["session", "list"],
      ["session", "show", listed[0].sessionId],
      ["messages", "show", listed[0].id],
      ["deliveries", "list"],
      ["task", "list"],
      ["runs"],
      ["events"],
    ])
      assert.strictEqual((await lamplighter.run(...words)).code, 0, words.join(" "))
    for (const words of [
      ["send", "g1", "anyone?"],
      ["session", "hold", listed[0].sessionId],
      ["messages", "redrive", listed[0].id],
    ]) {
      const ran = await lamplighter.run(...words)
      assert.strictEqual(ran.code, 1, words.join(" "))
      assert.include(ran.stderr, `--data ${lamplighter.dataDir} up`)
    }
    const again = await lamplighter.run("down")
    assert.deepStrictEqual([again.code, again.stderr], [0, ""], "it is down, as was asked")
    assert.include(again.stdout, "no daemon is running")
    assert.deepStrictEqual(await lamplighter.json("messages", "list"), listed, "nothing was written")
    const copy = await lamplighter.json("backup", path.join(lamplighter.dataDir, "copy-2.db"))
    assert.isAbove(copy.bytes, 0)
  }, 60_000)
})
