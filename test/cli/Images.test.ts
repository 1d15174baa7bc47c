import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { baseImage, dockerCommand, dockerMissing } from "../support/DockerWorld.ts"
import { type CommandLine, commandLine } from "../support/CommandLine.ts"

let lamplighter: CommandLine
beforeAll(async () => {
  lamplighter = commandLine()
  await lamplighter.up()
})
afterAll(() => lamplighter.close())

/** An agent that asks for packages as system actions do. */
const asking = (wish: unknown): string => {
  const line = `::lamplighter::system ${JSON.stringify({ action: "install_packages", ...(wish as object) })}`
  return JSON.stringify([process.execPath, "-e", `console.log(${JSON.stringify(line)});console.log("asked")`])
}

const requested = () => lamplighter.json("image", "requests")
const ask = async (group: string, wish: unknown) => {
  await lamplighter.json("group", "set", group, "--command", asking(wish))
  await lamplighter.run("send", group, "please", "--wait")
}

describe("packages that an agent asks for", () => {
  it("wait for an operator; approved ones are the group's, denied ones are not", async () => {
    await lamplighter.json("group", "add", "g1", "--command", asking({}), "--policy", '{"idleMs":1}')
    await ask("g1", { apt: ["jq", "ripgrep"] })
    const waiting = await lamplighter.until(requested, (rows) => rows.length > 0)
    assert.deepStrictEqual(waiting, [{ group: "g1", apt: ["jq", "ripgrep"], npm: [] }])
    const { container } = await lamplighter.json("group", "show", "g1")
    assert.deepStrictEqual(container.packages, { apt: [], npm: [] })
    assert.include((await lamplighter.run("status")).stdout, "packages that wait for an operator: apt jq")

    const approved = await lamplighter.json("image", "approve", "g1")
    assert.deepStrictEqual(approved.container.packages, { apt: ["jq", "ripgrep"], npm: [] })
    assert.deepStrictEqual(await requested(), [])

    // What is installed already is not asked for again.
    await ask("g1", { apt: ["jq"], npm: ["typescript@5"] })
    await lamplighter.until(requested, (rows) => rows.length > 0)
    assert.deepStrictEqual(await requested(), [{ group: "g1", apt: [], npm: ["typescript@5"] }])
    const denied = await lamplighter.json("image", "deny", "g1")
    assert.deepStrictEqual(denied.container.packages, { apt: ["jq", "ripgrep"], npm: [] })
    const again = await lamplighter.run("image", "deny", "g1")
    assert.strictEqual(again.code, 1)
  }, 60_000)

  it("are refused when a name is none, and the agent is told", async () => {
    await lamplighter.json("group", "add", "g2", "--command", asking({}))
    await ask("g2", { apt: ["jq; rm -rf /"] })
    const rows = await lamplighter.until(
      () => lamplighter.json("deliveries", "list", "--status", "refused"),
      (found) => found.length > 0,
    )
    assert.include(rows[0].lastError, "no options, no URLs")
    assert.deepStrictEqual(await requested(), [])
  }, 60_000)
})

describe("what a group says about its containers", () => {
  it("is checked, kept, and shown", async () => {
    await lamplighter.json(
      "group",
      "add",
      "g3",
      "--sandbox",
      '{"pids":100,"network":"bridge"}',
      "--skills",
      "cook",
    )
    const set = await lamplighter.json("group", "set", "g3", "--npm", "typescript@5")
    assert.deepInclude(set.container, { skills: ["cook"], packages: { apt: [], npm: ["typescript@5"] } })
    assert.deepStrictEqual(set.container.sandbox, { pids: 100, network: "bridge" })
    const { overrides } = await lamplighter.json("status")
    assert.deepStrictEqual(
      overrides.find(({ groupId }: { groupId: string }) => groupId === "g3"),
      {
        groupId: "g3",
        says: [
          "sandbox: pids = 100",
          "sandbox: network = bridge",
          "packages: npm typescript@5",
          "skills: cook",
        ],
      },
    )
    assert.include((await lamplighter.run("group", "show", "g3")).stdout, "sandbox: network = bridge")
  })

  const bad: ReadonlyArray<readonly [string, string, string]> = [
    ["--sandbox", '{"network":"host"}', "network"],
    ["--sandbox", '{"user":"0:0"}', "user"],
    ["--sandbox", '{"memoryBytes":1}', "memoryBytes"],
    ["--sandbox", '{"memoryMb":96}', "memoryMb: there is no such field; known here are memoryBytes, "],
    ["--mounts", '[{"source":"/srv","target":"x","acces":"read-only"}]', "[0].acces: there is no such field"],
    ["--sandbox", '{"privileged":true}', "privileged"],
    ["--sandbox", "not JSON", "--sandbox"],
    ["--mounts", '[{"source":"data","target":"x","access":"read-only"}]', "absolute"],
    ["--mounts", '[{"source":"/srv","target":"../x","access":"read-only"}]', "target"],
    ["--apt", "curl,-y", "Debian package"],
    ["--npm", "x@file:../x", "npm package"],
    ["--skills", "../x", "--skills"],
    ["--runner-dir", "/srv/../etc", "runnerDir"],
    ["--image", "UPPER CASE", "image"],
  ]
  for (const [flag, value, named] of bad)
    it(`is refused as ${flag} ${value}`, async () => {
      const ran = await lamplighter.run("group", "set", "g3", flag, value)
      assert.strictEqual(ran.code, 1)
      assert.include(ran.stderr, named)
    })
})

describe.skipIf(dockerMissing !== null)("lamplighter image, on a real engine", () => {
  it("builds the agent image, and lists it with the groups that use it", async () => {
    const image = `lamplighter-test-${process.pid}:cli`
    const env = { LAMPLIGHTER_DOCKER_IMAGE: image, LAMPLIGHTER_DOCKER_BASE_IMAGE: baseImage }
    await lamplighter.json("group", "add", "g4")
    try {
      const built = await lamplighter.runWith({ env }, "image", "build", "g4", "--json")
      assert.deepStrictEqual([built.code, JSON.parse(built.stdout)], [0, { built: [] }])
      // Packages of other groups would need a registry.
      for (const group of ["g1", "g3"])
        await lamplighter.json("group", "set", group, "--apt", "", "--npm", "")
      const all = await lamplighter.runWith({ env }, "image", "build", "--json")
      assert.deepStrictEqual(JSON.parse(all.stdout), { built: [image] })
      assert.include(all.stderr, "Step 1")
      const listed = await lamplighter.runWith({ env }, "image", "list", "--json")
      const row = JSON.parse(listed.stdout).find(({ tags }: { tags: Array<string> }) => tags.includes(image))
      assert.deepInclude(row, { kind: "agent", state: "there" })
      assert.include(row.usedBy, "g4")
      const none = await lamplighter.runWith({ env }, "image", "build", "nobody")
      assert.strictEqual(none.code, 1)
      assert.include(none.stderr, "nobody")
    } finally {
      dockerCommand("rmi", "-f", image)
    }
  }, 60_000)
})
