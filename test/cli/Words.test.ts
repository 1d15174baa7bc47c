/** What a command says to somebody who typed something else than it takes, and that its hints name commands that there are. */
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliOutput, Command } from "effect/cli"
import { vi } from "vitest"
import { commandTable, programFor } from "../../src/cli/CommandTable.ts"
import { runHere } from "../support/CommandLine.ts"

const root = path.resolve(import.meta.dirname, "../..")

describe("wrong words", () => {
  it.each([
    [["snd", "x"], /^lamplighter: Unknown subcommand "snd" .*Did you mean this\? send; see '.* --help'\n$/],
    [
      ["send", "c", "hello", "there"],
      /^lamplighter: Unexpected positional argument: "there"; see '.* send --help'\n$/,
    ],
    [["task", "show"], /^lamplighter: Missing required argument: id; see '.* task show --help'\n$/],
    [
      ["task", "ad"],
      /^lamplighter: Unknown subcommand "ad" for "lamplighter task" .*; see '.* task --help'\n$/,
    ],
    [["send"], /^lamplighter: say to whom and what: .*; see '.* send --help'\n$/],
    [["send", "g1", "x", "--wiat"], /^lamplighter: Unrecognized flag: --wiat .*; see '.* send --help'\n$/],
    [["next", "@daily", "--count", "some"], /^lamplighter: .*--count.*; see '.* next --help'\n$/],
    [["task"], /^lamplighter: a subcommand is missing: add, list, show, .*; see '.* task --help'\n$/],
    [["group", "--data", "/tmp"], /^lamplighter: a subcommand is missing: .*; see '.* group --help'\n$/],
    [["--data", "", "status"], /^lamplighter: .*--data.*; see '.* --help'\n$/],
    [["backup", ""], /^lamplighter: .*file.*; see '.* backup --help'\n$/],
    [["simulate", "x.yaml", "--picture", ""], /^lamplighter: .*--picture.*; see '.* simulate --help'\n$/],
    [
      ["group", "add", "g1", "--runner-dir", ""],
      /^lamplighter: .*--runner-dir.*; see '.* group add --help'\n$/,
    ],
  ] as const)("%j are told in one line, with exit code 2", async (words, line) => {
    const { code, stderr, stdout } = await runHere(words)
    assert.deepStrictEqual([code, stdout], [2, ""])
    assert.match(stderr, line)
  })

  it("none at all are answered with the help, as --help is", async () => {
    const bare = await runHere([])
    assert.deepStrictEqual([bare.code, bare.stderr], [0, ""])
    assert.deepStrictEqual(await runHere(["--help"]), bare)
  })

  it("an empty variable names no data directory; a flag wins over it", async () => {
    vi.stubEnv("LAMPLIGHTER_DATA", "")
    try {
      const { code, stderr } = await runHere(["status"])
      assert.deepStrictEqual(
        [code, stderr],
        [1, "lamplighter: LAMPLIGHTER_DATA is empty; name the data directory in it, or unset it\n"],
      )
      assert.include((await runHere(["--data", "/tmp/lamplighter-none", "status"])).stderr, "make it with")
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it("an empty message is none", async () => {
    const { code, stderr } = await runHere(["send", "g1", ""])
    assert.strictEqual(code, 1)
    assert.include(stderr, "empty")
  })
})

/** Of the sources: what stands after the program's name, up to what ends a command in a sentence. */
const hintsOf = (source: string): ReadonlyArray<string> =>
  Array.from(source.matchAll(/["'`(: ]lamplighter ((?:[a-z]+)(?: [^'`;,\n]*)?)/g), ([, words = ""]) => words)

const filesOf = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|md)$/.test(name))
    .map((name) => path.join(directory, name))

/** What the help of a command says of it, or undefined where there is no such command. */
const helpOf = async (words: ReadonlyArray<string>) => {
  const shown: Array<CliOutput.Presenter.Event> = []
  const program = await programFor(words)
  await Effect.runPromiseExit(
    Effect.scoped(Command.runWith(program, { version: "0" })([...words, "--help"])).pipe(
      Effect.provide(
        CliOutput.layerPresenter({ present: (event) => Effect.sync(() => void shown.push(event)) }),
      ),
      Effect.provideService(Console.Console, Object.assign(Object.create(console), { error: () => {} })),
      Effect.provide(NodeServices.layer),
    ),
  )
  const [event] = shown
  return event?._tag === "Help" ? event.helpDoc : undefined
}

/** Refuses a command line whose command or flags there are not. */
const check = async (line: string, where: string): Promise<void> => {
  const words = line.split(/\s+/)
  const [command = "", sub = ""] = words
  const top = await helpOf([command])
  assert.isDefined(top, `${where}: there is no command '${command}' (${line})`)
  const subcommands = (top?.subcommands ?? []).flatMap(({ commands }) => commands.map(({ name }) => name))
  const help = subcommands.includes(sub) ? await helpOf([command, sub]) : top
  if (subcommands.length > 0 && /^[a-z]+$/.test(sub)) {
    assert.include(subcommands, sub, `${where}: '${line}' names no command`)
  }
  const flags = [...(help?.flags ?? []), ...(help?.inheritedFlags ?? [])].map(({ name }) => name)
  for (const [, flag = ""] of line.matchAll(/ --([a-z-]+)/g))
    assert.include(flags, flag, `${where}: '${line}' has a flag that there is not`)
}

describe("hints", () => {
  it("name commands and flags that there are, wherever in the program they are written", async () => {
    let count = 0
    for (const file of filesOf(path.join(root, "src"))) {
      for (const hint of hintsOf(fs.readFileSync(file, "utf8").replaceAll(/^\s*(\/?\*|\/\/).*$/gm, ""))) {
        if (/^(is|has|needs) /.test(hint)) continue
        await check(hint, path.relative(root, file))
        count += 1
      }
    }
    assert.isAbove(count, 20)
  })

  it("begin as the program was called, and lead to the same data directory", async () => {
    const { stderr } = await runHere(["--data", "/tmp/lamplighter-none", "status"])
    assert.match(stderr, /make it with: \S*node src\/main\.ts --data \/tmp\/lamplighter-none init; then/)
    assert.match((await runHere(["snd", "x"])).stderr, /; see '\S*node src\/main\.ts --help'\n$/)
  })
})

describe("the manual", () => {
  const manual = fs.readFileSync(path.join(root, "docs/cli.md"), "utf8")

  it("has every command of the table, and no other", async () => {
    for (const [, words = ""] of manual.matchAll(/^(?:.*\| )?lamplighter ([^#\n]*)/gm))
      if (!words.startsWith("[")) await check(words.trim(), "docs/cli.md")
    for (const command of Object.keys(commandTable)) {
      const subcommands = ((await helpOf([command]))?.subcommands ?? []).flatMap(({ commands }) => commands)
      for (const words of subcommands.length === 0
        ? [command]
        : subcommands.map(({ name }) => `${command} ${name}`))
        assert.match(
          manual,
          new RegExp(`\\b${words}\\b|\`image [a-z|]*${words.slice(6)}`),
          `docs/cli.md lacks '${words}'`,
        )
    }
  })
})
