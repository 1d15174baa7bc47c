import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GroupId, InstallId, SessionId } from "../../../src/domain/Ids.ts"
import type { ProcessTable } from "../../../src/layers/process/ProcessTable.ts"
import { makeProcessWatcher, makeRun } from "../../../src/layers/process/ProcessWatcher.ts"
import { makeRunDirectory } from "../../../src/layers/process/RunDirectory.ts"
import type { RuntimeEvent } from "../../../src/services/ContainerRuntime.ts"

const BOOT = "boot"
const install = Schema.decodeSync(InstallId)("install1")

const aRun = () =>
  makeRun(
    {
      install,
      group: Schema.decodeSync(GroupId)("g1"),
      session: Schema.decodeSync(SessionId)("s1"),
      incarnation: 1,
    },
    { bootId: BOOT, pid: 42, startTime: "7" },
    0,
    "own",
  )

const killed = { exitCode: null, signal: "SIGKILL", oomKilled: false, at: 1 }

/** A watcher over a table where nothing of ours runs any more. */
const aWatcher = Effect.fnUntraced(function* (more: Partial<ProcessTable>) {
  const events: Array<RuntimeEvent> = []
  const folder = mkdtempSync(join(tmpdir(), "lamplighter-watcher-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
  const watcher = yield* makeProcessWatcher({
    table: {
      bootId: BOOT,
      find: () => undefined,
      belongingTo: async () => [],
      commandLines: async () => [],
      memoryKills: () => null,
      ...more,
    },
    directory: makeRunDirectory(folder, install),
    maxOutputBytes: 1,
    publish: (event) => void events.push(event),
  })
  return { events, watcher }
})

describe("the end of a process", () => {
  it.effect("is told also when the process table can't be read to its end", () =>
    Effect.gen(function* () {
      const { events, watcher } = yield* aWatcher({ belongingTo: () => new Promise(() => {}) })
      const run = aRun()
      yield* watcher.watch(run)
      const ended = yield* Effect.forkChild(watcher.end(run, killed), { startImmediately: true })
      yield* TestClock.adjust(4_999)
      assert.deepStrictEqual(events, [])
      yield* TestClock.adjust(1)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["Exited"],
      )
      ended.interruptUnsafe()
    }),
  )

  for (const [what, kills, oomKilled] of [
    ["is of memory when the kernel has just killed for want of it", 1, true],
    ["is not when the kernel has killed nobody for that", 0, false],
  ] as const)
    it.effect(what, () =>
      Effect.gen(function* () {
        let count = 3
        const { events, watcher } = yield* aWatcher({ memoryKills: () => count })
        const run = aRun()
        yield* watcher.watch(run)
        count += kills
        yield* watcher.end(run, killed)
        assert.deepStrictEqual(
          events.map((event) => event._tag === "Exited" && event.exit.oomKilled),
          [oomKilled],
        )
      }),
    )
})
