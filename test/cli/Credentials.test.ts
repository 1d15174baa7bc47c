import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { type CommandLine, commandLine } from "../support/CommandLine.ts"

let lamplighter: CommandLine
beforeEach(() => {
  lamplighter = commandLine()
})
afterEach(() => lamplighter.close())

const SECRET = "s3cret-of-the-test"

/** Every file of the data directory, as one text. */
const written = (directory: string): string =>
  fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.readFileSync(path.join(entry.parentPath, entry.name), "latin1"))
    .join("\n")

describe("credentials", () => {
  it("that are required and not there keep a message waiting, at no cost; with them it is answered, and nothing is written down", async () => {
    const env = {
      LAMPLIGHTER_CREDENTIALS_KIND: "static",
      LAMPLIGHTER_CREDENTIALS_VARIABLES: "TEST_API_KEY",
      LAMPLIGHTER_CREDENTIALS_REQUIRED_BY: "command",
    }
    const first = await lamplighter.up(env)
    const program = ["/bin/sh", "-c", `test "$TEST_API_KEY" = ${SECRET} && echo it is known`]
    await lamplighter.json(
      "group",
      "add",
      "g1",
      "--command",
      JSON.stringify(program),
      "--policy",
      '{"wakeBackoffBaseMs":100}',
    )
    // The program names the secret for the test's sake; what is looked for below is everything else.
    const { message } = await lamplighter.json("send", "g1", "hello")
    const waiting = await lamplighter.until(
      () => lamplighter.json("messages", "show", message.id),
      ({ wakeError }) => wakeError !== null,
    )
    assert.match(waiting.wakeError, /^Credentials: .*TEST_API_KEY/)
    assert.deepInclude(waiting.message, { state: "pending", tries: 0 })
    const ended = new Promise((resolve) => first.once("exit", resolve))
    await lamplighter.run("down")
    await ended

    let said = ""
    const second = await lamplighter.up({ ...env, TEST_API_KEY: SECRET })
    second.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()))
    const { answers, message: done } = await lamplighter.until(
      () => lamplighter.json("messages", "show", message.id),
      (report) => report.message.state === "completed",
    )
    assert.deepInclude(done, { tries: 0, attempts: 1 })
    assert.strictEqual(JSON.parse(answers[0].content).text, "it is known")
    const text = written(lamplighter.dataDir).replaceAll(`= ${SECRET} &&`, "")
    assert.notInclude(text, SECRET)
    assert.notInclude(said, SECRET)
  }, 60_000)
})
