/** What the daemon makes of an engine that says of itself which runc it has. The engine is a stand-in that runs nothing. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { createServer, type Server } from "node:http"
import * as path from "node:path"
import { type CommandLine, commandLine } from "../support/CommandLine.ts"

let lamplighter: CommandLine
let engine: Server
let runc = ""

const answers = (url: string): unknown => {
  if (url.endsWith("/version"))
    return {
      Version: "28.0.0",
      ApiVersion: "1.48",
      Components: [
        { Name: "Engine", Version: "28.0.0" },
        { Name: "runc", Version: runc, Details: { GitCommit: "v1-0-g0000000" } },
      ],
    }
  if (url.endsWith("/containers/json")) return []
  return url.endsWith("/info") ? { OperatingSystem: "Stand-in", SecurityOptions: null } : undefined
}

beforeEach(async () => {
  lamplighter = commandLine()
  engine = createServer((request, response) => {
    const answer = answers((request.url ?? "").split("?")[0] ?? "")
    response.writeHead(answer === undefined ? 500 : 200, { "content-type": "application/json" })
    response.end(JSON.stringify(answer ?? { message: "this engine does nothing" }))
  })
  await new Promise<void>((resolve) =>
    engine.listen(path.join(lamplighter.dataDir, "engine.sock"), () => resolve()),
  )
})
afterEach(async () => {
  await lamplighter.close()
  engine.closeAllConnections()
  await new Promise((resolve) => engine.close(resolve))
})

const environment = (strictRuntime: string) => ({
  LAMPLIGHTER_RUNTIME: "docker",
  LAMPLIGHTER_DOCKER_SOCKET: path.join(lamplighter.dataDir, "engine.sock"),
  LAMPLIGHTER_DOCKER_STRICT_RUNTIME: strictRuntime,
})

const refusalOf = async (): Promise<string> =>
  lamplighter.up(environment("refuse")).then(
    () => "it is up",
    (error: Error) => error.message,
  )

describe("an engine whose runc has known escapes", () => {
  beforeEach(() => {
    runc = "1.1.11"
  })

  it("is refused by a strict daemon, which says why", async () => {
    const refusal = await refusalOf()
    for (const part of ["ended with 1", "CVE-2024-21626", "1.1.12", "docker.strictRuntime"])
      assert.include(refusal, part)
  })

  it("is warned of in status otherwise, and the daemon is up", async () => {
    await lamplighter.up(environment("warn"))
    const { warnings } = await lamplighter.until(
      () => lamplighter.json("status"),
      (status) => status.warnings.length > 0,
    )
    assert.include(warnings[0], "CVE-2025-31133")
    assert.match((await lamplighter.run("status")).stdout, /^warning: runc 1\.1\.11/m)
  })
})

describe("an engine whose runc has none", () => {
  it("is good enough for a strict daemon, and nothing is warned of", async () => {
    runc = "1.3.3"
    await lamplighter.up(environment("refuse"))
    assert.deepStrictEqual((await lamplighter.json("status")).warnings, [])
  })
})

describe("an engine that does not answer", () => {
  it("is refused by a strict daemon, because nobody knows", async () => {
    await new Promise((resolve) => engine.close(resolve))
    assert.include(await refusalOf(), "ended with 1")
  })
})
