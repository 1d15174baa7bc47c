import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Schema } from "effect"
import { GroupId, InstallId, SessionId } from "../../../src/domain/Ids.ts"
import { makeProcessWatcher, type Run } from "../../../src/layers/process/ProcessWatcher.ts"
import type { RuntimeEvent } from "../../../src/services/ContainerRuntime.ts"

const BOOT = "boot"

const aRun = (): Run => ({
  ref: {
    labels: {
      install: Schema.decodeSync(InstallId)("install1"),
      group: Schema.decodeSync(GroupId)("g1"),
      session: Schema.decodeSync(SessionId)("s1"),
      incarnation: 1,
    },
    handle: "boot/42/7",
  },
  identity: { bootId: BOOT, pid: 42, startTime: "7" },
  startedAt: 0,
  state: "watched",
  exit: null,
  parentage: "own",
  follower: null,
  settled: null,
  announce: true,
  lostLinesToldAt: 0,
})

describe("the end of a process", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("is told also when the process table can't be read to its end", async () => {
    const events: Array<RuntimeEvent> = []
    const warnings: Array<string> = []
    const watcher = makeProcessWatcher({
      table: {
        bootId: BOOT,
        find: async () => undefined,
        belongingTo: () => new Promise(() => {}),
        commandLines: async () => [],
      },
      directory: { writeRecord: () => {} } as never,
      maxOutputBytes: 1,
      publish: (event) => void events.push(event),
      warn: (message) => void warnings.push(message),
    })
    const ended = watcher.end(aRun(), { exitCode: null, signal: "SIGKILL", oomKilled: false, at: 1 })
    await vi.advanceTimersByTimeAsync(4_999)
    assert.deepStrictEqual(events, [])
    await vi.advanceTimersByTimeAsync(1)
    await ended
    assert.deepStrictEqual(
      events.map(({ _tag }) => _tag),
      ["Exited"],
    )
    assert.lengthOf(warnings, 1)
    watcher.close()
  })
})
