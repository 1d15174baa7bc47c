/** One group's agent writes to another group's, along a destination that an operator configured, and along no other. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { commandLine } from "../support/CommandLine.ts"

const lamplighter = commandLine()
afterAll(() => lamplighter.close())

/** Writes one row to another group and one to a group that no destination leads to; and hands on what it is answered. */
const writer = JSON.stringify([
  process.execPath,
  "-e",
  `const to = (group) => console.log("::lamplighter::outbound " + JSON.stringify({ kind: "chat", content: { text: "please help" }, channelType: "agent", platformId: group, threadId: null }))
   let asked = ""
   process.stdin.on("data", (chunk) => (asked += chunk)).on("end", () => {
     if (asked.includes("ask the others")) { to("second"); to("third") } else console.log("they say: " + asked)
   })`,
])

describe("agents that talk to each other", () => {
  it("reaches the other group's session as a message, once, and only where a destination leads", async () => {
    await lamplighter.run("init")
    await lamplighter.up()
    await lamplighter.run("group", "add", "second")
    await lamplighter.run("group", "add", "third")
    await lamplighter.run(
      "group",
      "add",
      "first",
      "--command",
      writer,
      "--destination",
      "helper=agent:second",
    )
    const sent = await lamplighter.run("send", "first", "ask the others", "--wait")
    assert.strictEqual(sent.code, 0, sent.stderr)
    assert.notMatch(sent.stdout, /^please help/m, "what went to another agent, or nowhere, is no answer")
    const received = await lamplighter.until(
      async () => {
        const [session] = await lamplighter.json("session", "list", "--group", "second")
        return session === undefined ? [] : lamplighter.json("messages", "list", "--session", session.id)
      },
      (rows) => rows.length > 0 && rows[0].state === "completed",
    )
    assert.strictEqual(received.length, 1)
    assert.include(received[0].content, "please help")
    assert.isNotNull(received[0].sourceSessionId)
    const shown = await lamplighter.run("messages", "show", received[0].id)
    assert.match(shown.stdout, /^answer: /m, "but what an agent is answered is")
    assert.include(received[0].content, `"sender":"first"`)
    const [asker] = await lamplighter.json("session", "list", "--group", "first")
    const answers = await lamplighter.until(
      async () => lamplighter.json("deliveries", "list", "--session", asker.id),
      (rows) => rows.some((row: any) => row.content.includes("they say") && row.status === "delivered"),
    )
    const told = answers.find((row: any) => row.content.includes("they say"))
    assert.deepStrictEqual([told.channelType, told.hops], ["stdout", 3], "the answer reaches who started it")
    assert.include(told.content, "please help")
    assert.deepStrictEqual(await lamplighter.json("session", "list", "--group", "third"), [])
    const refused: ReadonlyArray<{ lastError: string }> = await lamplighter.json(
      "deliveries",
      "list",
      "--status",
      "refused",
    )
    assert.isTrue(refused.some(({ lastError }) => lastError.includes("'third' is not a destination")))
  }, 60_000)
})
