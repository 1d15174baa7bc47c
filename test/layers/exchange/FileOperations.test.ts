/** What a wake costs in calls of the file system: counted, because a count tells what a time on a busy machine can't. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import type { ContainerJson } from "../../../src/domain/ContainerJson.ts"
import * as SqliteMailbox from "../../../src/layers/exchange/SqliteMailbox.ts"
import * as LocalWorkspace from "../../../src/layers/files/LocalWorkspace.ts"
import { Mailbox } from "../../../src/services/Mailbox.ts"
import { Workspace } from "../../../src/services/Workspace.ts"
import { GROUP, group as plainGroup } from "../../../src/testing/Timeline.ts"
import { nothingCarried, pairOf, projection } from "../../contract/Mailbox.contract.ts"

/** Of the host's own calls, those of SQLite not counted. A file that is written whole is one. */
const CALLS =
  "accessSync copyFileSync existsSync lstatSync lutimesSync mkdirSync mkdtempSync readFileSync readdirSync renameSync rmSync statSync symlinkSync unlinkSync utimesSync writeFileSync"
const PROMISED =
  "access copyFile lstat mkdir mkdtemp open readFile readdir realpath rename rm stat symlink writeFile"

/** A pair is moved to its place, two lists, two questions about a group that is as it was, three of a projection, one the driver's. */
const BUDGET = 8

/** Spare pairs are made beside the wakes. A link's place is its second word. */
const isBeside = (words: ReadonlyArray<unknown>, dataDir: string): boolean =>
  words.some((word) => typeof word === "string" && word.startsWith(path.join(dataDir, "tmp")))

const counting = (dataDir: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const calls: Array<string> = []
      const restore: Array<() => void> = []
      const count = (home: object, names: string) => {
        const functions = home as Record<string, (...words: ReadonlyArray<unknown>) => unknown>
        for (const name of names.split(" ")) {
          const real = functions[name]
          if (real === undefined) continue
          functions[name] = (...words) => {
            if (home === fs || !isBeside(words, dataDir)) calls.push(name)
            return real.apply(home, [...words])
          }
          restore.push(() => void (functions[name] = real))
        }
      }
      count(fs, CALLS)
      count(fs.promises, PROMISED)
      syncBuiltinESMExports()
      return { calls, restore }
    }),
    ({ restore }) =>
      Effect.sync(() => {
        for (const undo of restore) undo()
        syncBuiltinESMExports()
      }),
  )

const group = { ...plainGroup, createdAt: 0, revision: 1 }
const json: ContainerJson = {
  provider: "echo",
  command: null,
  providerTimeoutMs: null,
  model: null,
  assistantName: "g1",
  groupName: "g1",
  agentGroupId: GROUP,
  maxMessagesPerPrompt: 10,
  zone: "UTC",
  mcpServers: {},
  skills: "all",
}

const wake = Effect.fnUntraced(function* (incarnation: number) {
  const mailbox = yield* Mailbox
  const workspace = yield* Workspace
  const pair = pairOf(incarnation)
  const { containerJson } = yield* workspace.prepareGroup(group, json)
  yield* mailbox.create(pair, nothingCarried)
  yield* workspace.writeSessionLists(pair, { tasks: [], groups: [] })
  yield* mailbox.project(pair, projection(1, [[{ seq: 2 }, "pending"]]))
  return containerJson
})

describe("a wake", () => {
  it.live(`costs at most ${BUDGET} file operations when its session and group have woken before`, () =>
    Effect.gen(function* () {
      const dataDir = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-operations-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
      )
      const calls = yield* Effect.gen(function* () {
        const file = yield* wake(1)
        // A file that has just been written is not trusted to be what its timestamps say.
        while (Date.now() - fs.lstatSync(file).ctimeMs < 60) yield* Effect.sleep(5)
        yield* wake(2)
        const { calls } = yield* counting(dataDir)
        yield* wake(3)
        return [...calls]
      }).pipe(
        Effect.scoped,
        Effect.provide(
          LocalWorkspace.layer({
            dataDir,
            exitLogRetention: { count: 1, ageMs: 1 },
            maxLogBytes: 1_000,
          }).pipe(Layer.provideMerge(SqliteMailbox.layer({ dataDir }))),
        ),
      )
      assert.isAtMost(calls.length, BUDGET, calls.join(" "))
    }),
  )
})
