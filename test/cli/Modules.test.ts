/** What each command loads: its own module and what that needs, and no client of a thing that it does not use. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { commandTable } from "../../src/cli/CommandTable.ts"

const cli = path.resolve(import.meta.dirname, "../../src/cli")
const STATIC_IMPORT = /^(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm

/** Files and packages that are loaded with these files, whatever is imported later left out. */
const loadedWith = (...entries: ReadonlyArray<string>) => {
  const files = new Set<string>()
  const packages = new Set<string>()
  const open = [...entries]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue
    files.add(file)
    for (const [, specifier = ""] of fs.readFileSync(file, "utf8").matchAll(STATIC_IMPORT)) {
      if (specifier.startsWith(".")) open.push(path.resolve(path.dirname(file), specifier))
      else packages.add(specifier)
    }
  }
  return { files, packages }
}

const moduleOf = (name: string): string =>
  path.join(cli, /(\w+\.ts)"/.exec(String(commandTable[name as keyof typeof commandTable]))?.[1] ?? "unknown")

/** Of `src`, with the program itself. */
const budgets: Readonly<Record<string, number>> = {
  next: 34,
  down: 55,
  status: 55,
  send: 60,
  messages: 55,
  deliveries: 55,
  session: 55,
  events: 55,
  logs: 55,
  group: 60,
  task: 65,
  runs: 55,
}

/** What only these commands need at once. */
const users: Readonly<Record<string, ReadonlyArray<string>>> = {
  "better-sqlite3": ["init", "up", "backup", "simulate"],
  dockerode: ["image"],
}

describe("what a command loads", () => {
  it.each(Object.keys(commandTable))("%s", (name) => {
    const { files, packages } = loadedWith(path.join(cli, "Program.ts"), moduleOf(name))
    assert.isAtMost(files.size, budgets[name] ?? Infinity)
    for (const [client, commands] of Object.entries(users))
      if (!commands.includes(name)) assert.notInclude([...packages], client)
    assert.notInclude([...packages], "@effect/platform-node", "its index loads a client of Redis")
    if (name !== "simulate") assert.isEmpty([...files].filter((file) => file.includes("/src/testing/")))
  })

  it("help loads no command", () => {
    const { files } = loadedWith(path.join(cli, "Program.ts"))
    assert.isEmpty([...files].filter((file) => /Commands?\.ts$/.test(file)))
  })
})
