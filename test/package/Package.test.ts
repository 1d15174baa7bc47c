/**
 * The package as its consumers get it: packed, installed into an empty project, compiled against its declarations, run. What the
 * sources do is tested elsewhere; this finds what is missing from the tarball, the exports or the declarations.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { patience } from "../support/Patience.ts"

const root = path.resolve(import.meta.dirname, "../..")
let scratch = ""
let project = ""
let packed: ReadonlyArray<string> = []

/** Runs a program to its end and gives its output; a failure shows all that it said. */
const run = (cwd: string, program: string, words: ReadonlyArray<string>, timeoutMs = 180_000): string => {
  const { error, status, stderr, stdout } = spawnSync(program, words, {
    cwd,
    encoding: "utf8",
    shell: program === "npm" && process.platform === "win32",
    timeout: timeoutMs,
  })
  assert.strictEqual(
    status,
    0,
    `${program} ${words.join(" ")}\n${stdout}\n${stderr}\n${error?.message ?? ""}`,
  )
  return stdout
}

const npm = (cwd: string, ...words: ReadonlyArray<string>): string =>
  run(cwd, "npm", [...words, "--no-audit", "--no-fund", "--loglevel=error"])

const node = (cwd: string, ...words: ReadonlyArray<string>): string => run(cwd, process.execPath, words)

beforeAll(() => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-package-"))
  project = path.join(scratch, "consumer")
  // Built in a copy, so that nobody's `dist` is touched and two runs don't meet in it.
  const repository = path.join(scratch, "repository")
  for (const entry of ["src", "container", "docs", "scripts", "LICENSE", "README.md"])
    fs.cpSync(path.join(root, entry), path.join(repository, entry), { recursive: true })
  for (const name of fs.readdirSync(root).filter((entry) => /^(package|tsconfig).*\.json$/.test(entry)))
    fs.cpSync(path.join(root, name), path.join(repository, name))
  fs.symlinkSync(path.join(root, "node_modules"), path.join(repository, "node_modules"), "junction")
  npm(repository, "run", "build")
  const [tarball] = JSON.parse(
    npm(repository, "pack", "--ignore-scripts", "--json", "--pack-destination", scratch),
  ) as [{ readonly filename: string; readonly files: ReadonlyArray<{ readonly path: string }> }]
  packed = tarball.files.map((file) => file.path)
  fs.cpSync(path.join(import.meta.dirname, "consumer"), project, { recursive: true })
  npm(project, "install", "--prefer-offline", path.join(scratch, tarball.filename))
}, 240_000)

afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }))

describe("the package", () => {
  it("holds what is run and read, and neither sources nor tests", () => {
    for (const wanted of [
      "dist/program/main.js",
      "dist/container/agent-runner/main.js",
      "container/agent-runner/main.ts",
      "LICENSE",
      "README.md",
    ])
      assert.include(packed, wanted)
    for (const room of ["src/", "test/", "scripts/", "bench/", "node_modules/"])
      assert.deepStrictEqual(
        packed.filter((file) => file.startsWith(room)),
        [],
      )
  })

  it("compiles in a consumer's project and runs there: decisions, services, a simulated timeline", () => {
    node(project, path.join(root, "node_modules/typescript/bin/tsc"), "-p", ".")
    assert.deepStrictEqual(JSON.parse(node(project, "out/main.js")), {
      stuck: "KillStartup",
      slot: 120_000,
      groups: 0,
      timeline: "completed",
      layers: Array.from({ length: 7 }, () => "function"),
    })
  })

  it("exports its rooms and nothing below them", () => {
    const reach = `import("lamplighter/dist/program/main.js").then(() => "reached", (error) => error.code).then(console.log)`
    assert.strictEqual(
      node(project, "--input-type=module", "-e", reach).trim(),
      "ERR_PACKAGE_PATH_NOT_EXPORTED",
    )
  })

  it("installs the command", () => {
    const command = path.join(project, "node_modules/lamplighter/dist/program/main.js")
    assert.match(fs.readFileSync(command, "utf8"), /^#!\/usr\/bin\/env node\n/)
    assert.isTrue(fs.existsSync(path.join(project, "node_modules/.bin/lamplighter")))
    assert.include(node(project, command, "--help"), "lamplighter")
  })

  it("starts from an entry that any Node can parse, and one that is too old says what is needed", () => {
    const command = path.join(project, "node_modules/lamplighter/dist/program/main.js")
    const imports = fs.readFileSync(command, "utf8").match(/\bimport\b(?! *\()[^;]*/g)
    assert.match((imports ?? []).join(";"), /^import \w+ from"node:process"$/)
    const version = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})"
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ["--import", `data:text/javascript,${version}`, command, "--help"],
      { cwd: project, encoding: "utf8" },
    )
    assert.deepStrictEqual(
      [status, stderr, stdout],
      [1, "lamplighter needs Node >= 22.19, this is v20.20.2\n", ""],
    )
  })

  it("is bundled: a command loads a few files, and none of a package that it does not use", () => {
    const command = path.join(project, "node_modules/lamplighter/dist/program/main.js")
    const count = `import { registerHooks } from "node:module"
      const files = []
      registerHooks({ load: (url, context, next) => (url.startsWith("file:") && files.push(url), next(url, context)) })
      process.once("exit", () => process.stderr.write(JSON.stringify(files)))`
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--import", `data:text/javascript,${encodeURIComponent(count)}`, command, "next", "@daily"],
      { cwd: project, encoding: "utf8" },
    )
    const files: ReadonlyArray<string> = JSON.parse(stderr)
    assert.strictEqual(status, 0)
    assert.isAtMost(files.length, 40)
    assert.deepStrictEqual(
      files.filter((file) => !file.includes("/node_modules/lamplighter/dist/program/")),
      [],
    )
  })

  it(
    "runs the daemon from there: a message goes in and the answer comes out",
    { timeout: patience(60_000) },
    async () => {
      const command = path.join(project, "node_modules/lamplighter/dist/program/main.js")
      const dataDir = path.join(scratch, "data")
      const daemon = spawn(process.execPath, [command, "--data", dataDir, "up"], {
        stdio: ["ignore", "pipe", "pipe"],
      })
      const ended = new Promise((resolve) => daemon.once("exit", resolve))
      try {
        await new Promise<void>((resolve, reject) => {
          let heard = ""
          const listen = (chunk: Buffer) => {
            heard += chunk.toString()
            if (heard.includes("lamplighter is up")) resolve()
          }
          daemon.stdout.on("data", listen)
          daemon.stderr.on("data", listen)
          daemon.once("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${heard}`)))
        })
        const say = (...words: ReadonlyArray<string>) =>
          run(project, process.execPath, [command, "--data", dataDir, ...words], 20_000)
        say("group", "add", "helpers")
        assert.include(say("send", "helpers", "from the tarball", "--wait"), "from the tarball")
      } finally {
        daemon.kill("SIGTERM")
      }
      assert.strictEqual(await ended, 0)
    },
  )
})
