import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { GroupId } from "../../../src/domain/Ids.ts"
import { prepareAgentState } from "../../../src/layers/files/AgentState.ts"

const group = GroupId.make("family")
let root: string
let dataDir: string
let skillsDir: string
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-state-")))
  dataDir = path.join(root, "data")
  skillsDir = path.join(root, "shared")
  for (const name of ["cook", "sail", ".hidden"])
    fs.mkdirSync(path.join(skillsDir, name), { recursive: true })
  fs.writeFileSync(path.join(skillsDir, "README"), "no skill")
})
afterEach(() => fs.rmSync(root, { recursive: true, force: true }))

const prepare = (wanted: "all" | ReadonlyArray<string>, from: string | null = skillsDir) =>
  prepareAgentState({ dataDir, skillsDir: from }, group, wanted)

const links = () => {
  const folder = path.join(dataDir, "skills", group)
  return Object.fromEntries(
    fs.readdirSync(folder).map((name) => [name, fs.readlinkSync(path.join(folder, name))]),
  )
}

const failureOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "it went well",
    (error: Error) => error.message,
  )

describe("the state of a group's agents", () => {
  it("has a link per skill that the group sees, to where the skills are inside", async () => {
    const { skills, stateDir } = await prepare("all")
    assert.deepStrictEqual(links(), { cook: "/app/skills/cook", sail: "/app/skills/sail" })
    assert.deepStrictEqual(skills, { shared: skillsDir, selected: path.join(dataDir, "skills", group) })
    assert.strictEqual(stateDir, path.join(dataDir, "state", group))
  })

  it("follows the group's choice, and what is shared, at every wake", async () => {
    await prepare("all")
    await prepare(["sail"])
    assert.deepStrictEqual(Object.keys(links()), ["sail"])
    fs.rmSync(path.join(skillsDir, "cook"), { recursive: true })
    fs.mkdirSync(path.join(skillsDir, "knit"))
    await prepare("all")
    assert.deepStrictEqual(Object.keys(links()).toSorted(), ["knit", "sail"])
  })

  it("is the same when two sessions of the group wake at once", async () => {
    await Promise.all(Array.from({ length: 8 }, () => prepare("all")))
    assert.deepStrictEqual(Object.keys(links()).toSorted(), ["cook", "sail"])
  })

  it("refuses a skill that nobody shares, and names those that are", async () => {
    assert.include(await failureOf(prepare(["fly"])), "it has: cook, sail")
    assert.include(await failureOf(prepare(["cook"], null)), "docker.skillsDir")
    assert.isUndefined((await prepare("all", null)).skills)
  })

  it("is mounted on a folder, whatever an agent has put in its place", async () => {
    const { stateDir } = await prepare("all")
    const place = path.join(stateDir, "skills")
    fs.rmdirSync(place)
    fs.symlinkSync(root, place)
    await prepare("all")
    assert.isTrue(fs.lstatSync(place).isDirectory())
    assert.isTrue(fs.existsSync(skillsDir), "what the link led to is untouched")
  })

  it("keeps what agents wrote", async () => {
    const { stateDir } = await prepare("all")
    fs.writeFileSync(path.join(stateDir, "memory.md"), "remember")
    await prepare("all")
    assert.strictEqual(fs.readFileSync(path.join(stateDir, "memory.md"), "utf8"), "remember")
  })
})
