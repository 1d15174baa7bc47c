/**
 * The room boundaries, seen refusing: each violating source is written to a scratch tree and linted with the repository's own
 * configuration. A boundary that no source can cross by accident is only worth something if crossing it fails the build.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"

const root = path.resolve(import.meta.dirname, "../..")
const oxlint = path.join(root, "node_modules/oxlint/bin/oxlint")

/** Files that the sources below import, so that only the boundary can refuse them. */
const SCENERY = [
  "src/domain/Instant.ts",
  "src/layers/JsonText.ts",
  "src/domain/index.ts",
  "src/services/Sweep.ts",
  "src/layers/memory/MemoryLedger.ts",
  "src/layers/sqlite/SqliteLedger.ts",
  "src/cli/UpCommand.ts",
  "src/main.ts",
  "src/testing/index.ts",
  "test/support/Rows.ts",
  "container/agent-runner/Loop.ts",
]

interface Case {
  readonly it: string
  readonly file: string
  readonly source: string
  /** Part of the one message expected; absent when the source is allowed. */
  readonly refused?: string
}

const refusedCases: ReadonlyArray<Case> = [
  // Direction.
  {
    it: "domain importing services",
    file: "src/domain/A.ts",
    source: `export * from "../services/Sweep.ts"`,
    refused: "domain must not import services",
  },
  {
    it: "domain importing services for types only",
    file: "src/domain/A.ts",
    source: `import type { Sweep } from "../services/Sweep.ts"\nexport type A = Sweep`,
    refused: "domain must not import services",
  },
  {
    it: "domain importing services inside a type",
    file: "src/domain/A.ts",
    source: `export type A = import("../services/Sweep.ts").Sweep`,
    refused: "domain must not import services",
  },
  {
    it: "domain importing layers",
    file: "src/domain/A.ts",
    source: `export { a } from "../layers/memory/MemoryLedger.ts"`,
    refused: "domain must not import layers",
  },
  {
    it: "services importing layers",
    file: "src/services/A.ts",
    source: `import { a } from "../layers/memory/MemoryLedger.ts"\nexport const b = a`,
    refused: "services must not import layers",
  },
  {
    it: "services importing layers lazily",
    file: "src/services/ledger/A.ts",
    source: `export const a = () => import("../../layers/sqlite/SqliteLedger.ts")`,
    refused: "services must not import layers",
  },
  {
    it: "services importing the cli",
    file: "src/services/A.ts",
    source: `export * from "../cli/UpCommand.ts"`,
    refused: "services must not import main",
  },
  {
    it: "layers importing the composition root",
    file: "src/layers/http/A.ts",
    source: `export * from "../../main.ts"`,
    refused: "layers must not import main",
  },
  {
    it: "src importing what exists for tests of timelines",
    file: "src/layers/http/A.ts",
    source: `export * from "../../testing/index.ts"`,
    refused: "layers must not import testing",
  },
  {
    it: "src importing test",
    file: "src/layers/http/A.ts",
    source: `export * from "../../../test/support/Rows.ts"`,
    refused: "layers must not import test",
  },
  {
    it: "the container importing src",
    file: "container/agent-runner/A.ts",
    source: `export * from "../../src/domain/Instant.ts"`,
    refused: "container must not import domain",
  },
  {
    it: "src importing the container",
    file: "src/layers/process/A.ts",
    source: `export * from "../../../container/agent-runner/Loop.ts"`,
    refused: "layers must not import container",
  },
  {
    it: "the in-memory layers importing other layers",
    file: "src/layers/memory/A.ts",
    source: `export * from "../sqlite/SqliteLedger.ts"`,
    refused: "in-memory layers must not import other layers",
  },
  {
    it: "a module importing a barrel",
    file: "src/services/A.ts",
    source: `import { a } from "../domain/index.ts"\nexport const b = a`,
    refused: "not the barrel",
  },
  // Packages.
  {
    it: "domain importing node:*",
    file: "src/domain/A.ts",
    source: `export { readFileSync } from "node:fs"`,
    refused: `domain must not import "node:fs"`,
  },
  {
    it: "domain importing Effect itself",
    file: "src/domain/A.ts",
    source: `import { Effect, Schema } from "effect"\nexport const a = [Effect, Schema]`,
    refused: "Effect is not one",
  },
  {
    it: "domain importing Effect under another name",
    file: "src/domain/A.ts",
    source: `import { Effect as Schema } from "effect"\nexport const a = Schema`,
    refused: "Effect is not one",
  },
  {
    it: "domain importing the whole of effect",
    file: "src/domain/A.ts",
    source: `import * as Everything from "effect"\nexport const a = Everything`,
    refused: "must name the modules",
  },
  {
    it: "domain importing Clock by its path",
    file: "src/domain/A.ts",
    source: `import * as Clock from "effect/Clock"\nexport const a = Clock`,
    refused: `"effect/Clock" is not one`,
  },
  {
    it: "cron-parser anywhere but in its module",
    file: "src/domain/A.ts",
    source: `export * from "cron-parser"`,
    refused: "only src/domain/CronSchedule.ts",
  },
  {
    it: "cron-parser in services",
    file: "src/services/A.ts",
    source: `export * from "cron-parser"`,
    refused: `services must not import "cron-parser"`,
  },
  {
    it: "services importing effect/http",
    file: "src/services/A.ts",
    source: `export { HttpClient } from "effect/http"`,
    refused: `"effect/http" is not one`,
  },
  {
    it: "services importing FileSystem",
    file: "src/services/A.ts",
    source: `import { Effect, FileSystem } from "effect"\nexport const a = [Effect, FileSystem]`,
    refused: "FileSystem is not one",
  },
  {
    it: "services importing the platform",
    file: "src/services/A.ts",
    source: `export { NodeRuntime } from "@effect/platform-node"`,
    refused: "services must not import",
  },
  {
    it: "services importing node:*",
    file: "src/services/A.ts",
    source: `export { setTimeout } from "node:timers/promises"`,
    refused: "services must not import",
  },
  {
    it: "better-sqlite3 in services",
    file: "src/services/A.ts",
    source: `import Database from "better-sqlite3"\nexport const a = Database`,
    refused: "services must not import",
  },
  {
    it: "better-sqlite3 in another layer",
    file: "src/layers/http/A.ts",
    source: `import Database from "better-sqlite3"\nexport const a = Database`,
    refused: "only src/layers/sqlite/",
  },
  {
    it: "node:* in the in-memory layers",
    file: "src/layers/memory/A.ts",
    source: `export { join } from "node:path"`,
    refused: "in-memory layers must not import",
  },
  {
    it: "a package in the container",
    file: "container/agent-runner/A.ts",
    source: `export { Effect } from "effect"`,
    refused: "nothing to install",
  },
  // What Node needs and tsc does not check.
  {
    it: "an import that ends in .js",
    file: "src/domain/A.ts",
    source: `export * from "./Instant.js"`,
    refused: "must end in .ts",
  },
  {
    it: "an import without an extension",
    file: "test/A.ts",
    source: `export * from "../src/domain/Instant"`,
    refused: "must end in .ts",
  },
  {
    it: "an import of a file that is not there",
    file: "src/domain/A.ts",
    source: `export * from "./Missing.ts"`,
    refused: "is not a file",
  },
  {
    it: "a computed import",
    file: "src/cli/A.ts",
    source: `export const a = (name: string) => import(name)`,
    refused: "literal path",
  },
  // The host's clock, chance and process.
  ...["src/domain/A.ts", "src/services/A.ts"].flatMap((file): ReadonlyArray<Case> => [
    { it: `Date.now in ${file}`, file, source: `export const a = Date.now()`, refused: "only Date.UTC" },
    { it: `new Date() in ${file}`, file, source: `export const a = new Date()`, refused: "only Date.UTC" },
    {
      it: `new Date(text) in ${file}`,
      file,
      source: `export const a = new Date("2027-01-15")`,
      refused: "only Date.UTC",
    },
    {
      it: `Date taken apart in ${file}`,
      file,
      source: `const { now } = Date\nexport const a = now`,
      refused: "only Date.UTC",
    },
    {
      it: `globalThis.Date in ${file}`,
      file,
      source: `export const a = globalThis.Date.now()`,
      refused: "globalThis",
    },
    { it: `Math.random in ${file}`, file, source: `export const a = Math.random()`, refused: "Math.random" },
    {
      it: `Math["random"] in ${file}`,
      file,
      source: `export const a = Math["random"]()`,
      refused: "Math.random",
    },
    {
      it: `DateTime.nowUnsafe in ${file}`,
      file,
      source: `import { DateTime } from "effect"\nexport const a = DateTime.nowUnsafe()`,
      refused: "DateTime.nowUnsafe",
    },
    ...[
      "process",
      "setTimeout",
      "setInterval",
      "setImmediate",
      "queueMicrotask",
      "performance",
      "crypto",
    ].map((name): Case => ({
      it: `${name} in ${file}`,
      file,
      source: `export const a = [${name}]`,
      refused: `'${name}'`,
    })),
    {
      it: `globalThis.process in ${file}`,
      file,
      source: `export const a = globalThis.process.pid`,
      refused: "globalThis",
    },
  ]),
  // What hides mistakes from the compiler and from whoever reads.
  ...["src/domain/A.ts", "container/A.ts", "bench/A.ts", "scripts/A.ts"].flatMap(
    (file): ReadonlyArray<Case> => [
      { it: `as never in ${file}`, file, source: `export const a = 1 as never`, refused: "'as never'" },
      {
        it: `a JSON text taken for what it should be in ${file}`,
        file,
        source: `export const a = (parseJson: (text: string) => unknown) => parseJson("1") as number`,
        refused: "what a JSON text holds is unknown",
      },
      {
        it: `a JSON text taken for unknown and then for what it should be in ${file}`,
        file,
        source: `export const a = (parseJson: (text: string) => unknown) => parseJson("1") as unknown as number`,
        refused: "what a JSON text holds is unknown",
      },
      {
        it: `a field of a JSON text in ${file}`,
        file,
        source: `export const a = JSON.parse("{}").b`,
        refused: "'JSON.parse' is restricted",
      },
      {
        it: `a variable that believes a JSON text in ${file}`,
        file,
        source: `export const a: number = JSON.parse("1")`,
        refused: "'JSON.parse' is restricted",
      },
      {
        it: `an answer that believes a JSON text in ${file}`,
        file,
        source: `export const a = (text: string): number => JSON.parse(text)`,
        refused: "'JSON.parse' is restricted",
      },
      {
        it: `an argument that believes a JSON text in ${file}`,
        file,
        source: `export const a = (text: string) => Math.abs(JSON.parse(text))`,
        refused: "'JSON.parse' is restricted",
      },
      {
        it: `a parser under another name in ${file}`,
        file,
        source: `const { parse } = JSON\nexport const a = parse`,
        refused: "'JSON.parse' is restricted",
      },
      {
        it: `a parser as an argument in ${file}`,
        file,
        source: `export const a = (texts: ReadonlyArray<string>): ReadonlyArray<number> => texts.map(JSON.parse)`,
        refused: "'JSON.parse' is restricted",
      },
      {
        it: `a function of 71 lines in ${file}`,
        file,
        source: `export const a = () => {\n${"  // A comment counts.\n".repeat(69)}}`,
        refused: "too many lines (71)",
      },
    ],
  ),
  {
    it: "a module that imports itself for its types, by way of another",
    file: "src/domain/A.ts",
    source: `export type { B } from "./Circle.ts"\nexport interface A {}`,
    refused: "cycle",
  },
  ...[
    "/* oxlint-disable */\nexport const a = 1",
    "export const a = 1 // oxlint-disable-line",
    "// oxlint-disable-next-line\nexport const a = 1",
    "/* eslint-disable rooms/comments */\nexport const a = 1",
  ].map((source): Case => ({
    it: `a comment that switches rules off: ${source.replace(/\n.*/, "")}`,
    file: "src/domain/A.ts",
    source,
    refused: "no comment switches a rule off",
  })),
]

const allowedCases: ReadonlyArray<Case> = [
  {
    it: "domain importing domain and data modules of effect",
    file: "src/domain/A.ts",
    source: `import { Option, Schema } from "effect"\nimport { a } from "./Instant.ts"\nexport const b = [Option, Schema, a]`,
  },
  {
    it: "cron-parser in its module",
    file: "src/domain/CronSchedule.ts",
    source: `export { CronExpressionParser } from "cron-parser"`,
  },
  {
    it: "services importing domain and effect",
    file: "src/services/A.ts",
    source: `import { Clock, Effect, Stream } from "effect"\nimport { a } from "../domain/Instant.ts"\nexport const b = [Clock, Effect, Stream, a]`,
  },
  {
    it: "layers importing everything below, packages and the host",
    file: "src/layers/sqlite/A.ts",
    source: `import Database from "better-sqlite3"\nimport { join } from "node:path"\nimport { a } from "../../services/Sweep.ts"\nimport { b } from "../memory/MemoryLedger.ts"\nexport const c = [Database, join, a, b, Date.now()]`,
  },
  {
    it: "the cli importing layers",
    file: "src/cli/A.ts",
    source: `export { a } from "../layers/sqlite/SqliteLedger.ts"`,
  },
  {
    it: "bench importing test",
    file: "bench/A.ts",
    source: `export * from "../test/support/Rows.ts"`,
  },
  {
    it: "test importing anything",
    file: "test/A.ts",
    source: `export * from "../src/main.ts"\nexport * from "./support/Rows.ts"`,
  },
  { it: "Date.UTC in domain", file: "src/domain/A.ts", source: `export const a = Date.UTC(2027, 0, 15)` },
  {
    it: "a violation that is only a comment or a string",
    file: "src/domain/A.ts",
    source: `// import "node:fs"; Date.now()\nexport const a = 'import "node:fs"; new Date()'`,
  },
  {
    it: "a JSON text that is looked at before it is used",
    file: "src/layers/A.ts",
    source: `import { parseJson } from "./JsonText.ts"\nexport const a: unknown = parseJson("1")`,
  },
  {
    it: "a function of 70 lines",
    file: "src/domain/A.ts",
    source: `export const a = () => {\n${"  // A comment counts.\n".repeat(68)}}`,
  },
  {
    it: "a parameter that is called process",
    file: "src/domain/A.ts",
    source: `export const a = (process: number) => process`,
  },
]

/** Each case has a file of its own, so that one run of the linter judges them all. */
const fileOf = (one: Case, index: number): string => one.file.replace(/\bA\.ts$/, `Case${index}.ts`)

const cases = [...refusedCases, ...allowedCases]
const messagesOf = new Map<string, Array<string>>()
let scratch = ""

const write = (file: string, source: string) => {
  fs.mkdirSync(path.join(scratch, path.dirname(file)), { recursive: true })
  fs.writeFileSync(path.join(scratch, file), `${source}\n`)
}

beforeAll(() => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), "rooms-"))
  const configuration = JSON.parse(fs.readFileSync(path.join(root, ".oxlintrc.json"), "utf8"))
  configuration.jsPlugins = configuration.jsPlugins.map((plugin: string) => path.join(root, plugin))
  write(".oxlintrc.json", JSON.stringify(configuration))
  for (const file of SCENERY) write(file, "export const a = 1")
  const circular = cases.findIndex(({ refused }) => refused === "cycle")
  write("src/domain/Circle.ts", `import type { A } from "./Case${circular}.ts"\nexport type B = A`)
  for (const [index, one] of cases.entries()) write(fileOf(one, index), one.source)

  const run = spawnSync(process.execPath, [oxlint, "--format", "json"], { cwd: scratch, encoding: "utf8" })
  const report: {
    readonly diagnostics: ReadonlyArray<{
      readonly message: string
      readonly filename: string
      readonly severity: string
    }>
  } = JSON.parse(run.stdout)
  assert.strictEqual(run.status, 1, "the linter must exit with an error")
  for (const { filename, message, severity } of report.diagnostics) {
    assert.strictEqual(severity, "error", message)
    messagesOf.set(filename, [...(messagesOf.get(filename) ?? []), message])
  }
})

afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }))

describe("rooms", () => {
  for (const [index, one] of cases.entries()) {
    const { refused } = one
    if (refused === undefined)
      it(`allow ${one.it}`, () => {
        assert.deepStrictEqual(messagesOf.get(fileOf(one, index)) ?? [], [])
      })
    else
      it(`refuse ${one.it}`, () => {
        const messages = messagesOf.get(fileOf(one, index)) ?? []
        assert.strictEqual(messages.length, 1, messages.join("\n"))
        assert.include(messages[0], refused)
      })
  }

  it("hold in this repository", () => {
    const places = ["src", "container", "bench", "scripts", "test"]
    const run = spawnSync(process.execPath, [oxlint, "--format", "json", ...places], {
      cwd: root,
      encoding: "utf8",
    })
    const report: {
      readonly diagnostics: ReadonlyArray<{ readonly code?: string }>
      number_of_files: number
    } = JSON.parse(run.stdout)
    const broken = report.diagnostics.filter(({ code = "rooms" }) => /rooms|no-restricted/.test(code))
    assert.deepStrictEqual(broken, [])
    assert.isAbove(report.number_of_files, 100)
  })
})
