/** Reader processes live and die with their daemon, whatever they are doing, and nothing else opens what a container can write. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { addGroup, liveDaemon, sendText, until } from "../support/LiveDaemon.ts"
import { eventually } from "../support/ProcessWorld.ts"

const source = path.resolve(import.meta.dirname, "../../src")

const commandOf = (pid: number): string => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

const parentOf = (pid: number): number | undefined => {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
  } catch {
    return undefined
  }
}

const readersOf = (daemon: number): ReadonlyArray<number> =>
  fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === daemon && commandOf(pid).includes("ReaderMain"))

/** Every module that is loaded when this one is, types not counted. */
const loads = (entry: string, found = new Set<string>()): ReadonlySet<string> => {
  if (found.has(entry)) return found
  found.add(entry)
  const imports = /^(?:import|export)\s+(?!type\b)(?:[^;"']*?\sfrom\s+)?"(\.[^"]+)"/gm
  for (const [, specifier] of fs.readFileSync(entry, "utf8").matchAll(imports))
    loads(path.resolve(path.dirname(entry), specifier ?? ""), found)
  return found
}

describe("reader processes", () => {
  it.live("are few, and none is left when their daemon is killed", () =>
    Effect.gen(function* () {
      const daemon = yield* liveDaemon
      const child = yield* Effect.promise(() => daemon.start())
      yield* addGroup(daemon, null)
      yield* sendText(daemon, "m1", "hello")
      yield* until(daemon, "m1", ({ state }) => state === "completed")
      const readers = readersOf(child.pid ?? 0)
      assert.isAtLeast(readers.length, 1)
      assert.isAtMost(readers.length, 3)
      child.kill("SIGKILL")
      yield* Effect.promise(() => daemon.ended(child))
      yield* eventually("no reader is left", () =>
        readers.every((pid) => !commandOf(pid).includes("ReaderMain")),
      )
    }),
  )

  it.live("end themselves when one request takes far too long and nobody is left to kill them", () =>
    Effect.sync(() => {
      const script = `
        const { startWatchdog } = await import(${JSON.stringify(path.join(source, "layers/outbound/ReaderWatchdog.ts"))})
        const watchdog = startWatchdog(200)
        for (let request = 0; request < 100; request++) { watchdog.begin(); watchdog.end() }
        console.log("answered a hundred")
        watchdog.begin()
        for (;;);`
      const { signal, stdout } = spawnSync(
        process.execPath,
        ["--no-warnings", "--input-type=module", "-e", script],
        {
          encoding: "utf8",
          timeout: 15_000,
          killSignal: "SIGTERM",
        },
      )
      assert.strictEqual(stdout, "answered a hundred\n")
      assert.strictEqual(signal, "SIGKILL")
    }),
  )

  it("are the only ones that load the code which opens a container's database", () => {
    const copying = path.join(source, "layers/outbound/OutboundCopy.ts")
    const daemon = loads(path.join(source, "cli/UpCommand.ts"))
    assert.isTrue(
      daemon.has(path.join(source, "layers/outbound/ReaderPool.ts")),
      "the walk finds what is loaded",
    )
    assert.isFalse(daemon.has(copying))
    assert.isFalse(daemon.has(path.join(source, "layers/outbound/OutboundCells.ts")))
    assert.isTrue(loads(path.join(source, "layers/outbound/ReaderMain.ts")).has(copying))
  })

  it("load nothing but what they need: they start in milliseconds", () => {
    const loaded = [...loads(path.join(source, "layers/outbound/ReaderMain.ts"))]
    for (const file of loaded)
      assert.notMatch(fs.readFileSync(file, "utf8"), /^import (?!type)[^;]*"effect/m, file)
  })
})
