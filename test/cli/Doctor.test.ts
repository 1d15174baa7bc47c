import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Check } from "../../src/domain/Check.ts"
import { baseImage, dockerMissing } from "../support/DockerWorld.ts"
import { type CommandLine, commandLine } from "../support/CommandLine.ts"

let lamplighter: CommandLine
beforeEach(() => {
  lamplighter = commandLine()
})
afterEach(() => lamplighter.close())

const doctor = async (env: Readonly<Record<string, string>> = {}) => {
  const ran = await lamplighter.runWith(
    { env: { LAMPLIGHTER_RUNTIME: "process", ...env } },
    "doctor",
    "--json",
  )
  const checks = JSON.parse(ran.stdout) as ReadonlyArray<Check>
  return { ran, checks, of: (name: string) => checks.find((check) => check.name === name) }
}

describe("lamplighter doctor", () => {
  it("finds nothing wrong with a host that is well, and leaves nothing behind", async () => {
    const before = fs.readdirSync(lamplighter.dataDir)
    const { checks, ran } = await doctor({ LAMPLIGHTER_ZONE: "Asia/Tokyo" })
    assert.strictEqual(ran.code, 0, ran.stderr)
    assert.deepStrictEqual(
      checks.map(({ name }) => name),
      ["settings", "time zone", "data directory", "locks", "disk"],
    )
    assert.deepStrictEqual(
      checks.filter(({ level }) => level === "failure"),
      [],
    )
    assert.include(checks[1]?.message, "Asia/Tokyo")
    assert.deepStrictEqual(fs.readdirSync(lamplighter.dataDir), before)
  })

  it("says for people what would help, and exits with 1", async () => {
    const env = { LAMPLIGHTER_RUNTIME: "process", LAMPLIGHTER_ZONE: "Nowhere/Land" }
    const ran = await lamplighter.runWith({ env }, "doctor")
    assert.strictEqual(ran.code, 1)
    assert.match(ran.stdout, /^FAIL {2}settings: .*Nowhere\/Land/m)
    assert.match(ran.stdout, /^ {6}remedy: /m)
    assert.match(ran.stdout, /^ok {4}data directory/m)
    assert.include(ran.stderr, "settings")
  })

  it("lists the zones that were taken once and that nobody may choose now, and what the daemon warns of", async () => {
    await lamplighter.run("init", "--group", "g1")
    const database = new Database(path.join(lamplighter.dataDir, "lamplighter.db"))
    database.exec("UPDATE groups SET zone = 'BST'")
    database.close()
    const daemon = await lamplighter.up({ LAMPLIGHTER_POLCY_X: "3" })
    const { checks, of, ran } = await doctor()
    assert.strictEqual(ran.code, 0, ran.stderr)
    assert.deepInclude(of("zone of group g1"), { level: "warning" })
    assert.include(of("zone of group g1")?.message, "BST")
    assert.include(checks.find(({ name }) => name === "daemon")?.message, "LAMPLIGHTER_POLCY_X")
    daemon.kill("SIGTERM")
  })

  it("names a data directory that is a file", async () => {
    fs.rmSync(lamplighter.dataDir, { recursive: true })
    fs.writeFileSync(lamplighter.dataDir, "")
    const { of, ran } = await doctor()
    assert.strictEqual(ran.code, 1)
    const check = of("data directory")
    assert.strictEqual(check?.level, "failure")
    assert.isNotNull(check?.remedy)
  })

  it("names an engine that does not answer, and how to reach it", async () => {
    const { of, ran } = await doctor({
      LAMPLIGHTER_RUNTIME: "docker",
      LAMPLIGHTER_DOCKER_SOCKET: path.join(lamplighter.dataDir, "no.sock"),
    })
    assert.strictEqual(ran.code, 1)
    assert.strictEqual(of("engine")?.level, "failure")
    assert.include(of("engine")?.message, "no.sock")
    assert.include(of("engine")?.remedy ?? "", "docker.socket")
    assert.isUndefined(of("image"))
  })
})

describe.skipIf(dockerMissing !== null)("lamplighter doctor, on a real engine", () => {
  it("tells its version and that of runc, and finds the image", async () => {
    const { of, ran } = await doctor({ LAMPLIGHTER_RUNTIME: "docker", LAMPLIGHTER_DOCKER_IMAGE: baseImage })
    assert.strictEqual(ran.code, 0, ran.stderr)
    assert.match(of("engine")?.message ?? "", /\d+\.\d+.*API 1\.\d+/)
    assert.match(of("runc")?.message ?? "", /\d+\.\d+\.\d+/)
    assert.deepInclude(of("image"), { level: "ok", message: `${baseImage} is there` })
  })

  it("warns of an image that the first wake would build, and fails where builds are switched off", async () => {
    const env = {
      LAMPLIGHTER_RUNTIME: "docker",
      LAMPLIGHTER_DOCKER_IMAGE: "lamplighter-no-such:image",
      LAMPLIGHTER_DOCKER_BASE_IMAGE: baseImage,
    }
    assert.strictEqual((await doctor(env)).of("image")?.level, "warning")
    const never = await doctor({ ...env, LAMPLIGHTER_DOCKER_BUILD: "never" })
    assert.strictEqual(never.of("image")?.level, "failure")
    assert.include(never.of("image")?.remedy ?? "", "lamplighter image build")
    assert.strictEqual(never.ran.code, 1)
  })
})
