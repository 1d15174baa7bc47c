import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { ContainerJson } from "../../../src/domain/ContainerJson.ts"
import { SessionId } from "../../../src/domain/Ids.ts"
import * as LocalWorkspace from "../../../src/layers/files/LocalWorkspace.ts"
import * as SqliteMailbox from "../../../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox } from "../../../src/services/Mailbox.ts"
import { Workspace } from "../../../src/services/Workspace.ts"
import { group as plainGroup, GROUP } from "../../../src/testing/Timeline.ts"
import { nothingCarried, pairOf } from "../../contract/Mailbox.contract.ts"

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

const story = <A, E>(
  title: string,
  tell: (dataDir: string, workspace: Workspace["Service"]) => Effect.Effect<A, E, Mailbox>,
) =>
  it.live(title, () =>
    Effect.gen(function* () {
      const dataDir = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-workspace-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
      )
      const layer = LocalWorkspace.layer({
        dataDir,
        exitLogRetention: { count: 3, ageMs: 60_000 },
        maxLogBytes: 2_000,
      }).pipe(Layer.provideMerge(SqliteMailbox.layer({ dataDir })))
      return yield* Effect.flatMap(Workspace, (workspace) => tell(dataDir, workspace)).pipe(
        Effect.provide(layer),
      )
    }),
  )

const log = (at: number, text: string, session = "s1") => ({
  sessionId: SessionId.make(session),
  incarnation: at,
  at,
  header: [["reason", "crash"]] as const,
  text,
})

describe("a group's folders", () => {
  story("are made once, with container.json written only when it differs", (dataDir, workspace) =>
    Effect.gen(function* () {
      const paths = yield* workspace.prepareGroup(group, json)
      assert.strictEqual(paths.groupDir, path.join(dataDir, "groups", "g1"))
      assert.deepStrictEqual(JSON.parse(fs.readFileSync(paths.containerJson, "utf8")), json)
      const before = fs.statSync(paths.containerJson)
      yield* workspace.prepareGroup(group, json)
      assert.strictEqual(fs.statSync(paths.containerJson).ino, before.ino)
      yield* workspace.prepareGroup(group, { ...json, zone: "Asia/Tokyo" })
      assert.strictEqual(JSON.parse(fs.readFileSync(paths.containerJson, "utf8")).zone, "Asia/Tokyo")
      assert.notStrictEqual(fs.statSync(paths.containerJson).ino, before.ino, "it is moved into place, whole")
    }),
  )

  for (const [what, plant] of [
    ["a link to a file of the host", (file: string, secret: string) => fs.symlinkSync(secret, file)],
    ["a link that leads nowhere", (file: string, secret: string) => fs.symlinkSync(`${secret}-none`, file)],
    ["a FIFO", (file: string) => execFileSync("mkfifo", [file])],
    [
      "a file that is far too large",
      (file: string) => {
        fs.writeFileSync(file, "")
        fs.truncateSync(file, 2 ** 31)
      },
    ],
  ] as const)
    story(`survive ${what} where container.json stands`, (dataDir, workspace) =>
      Effect.gen(function* () {
        const secret = path.join(dataDir, "secret")
        fs.writeFileSync(secret, "of the host")
        const { containerJson } = yield* workspace.prepareGroup(group, json)
        fs.rmSync(containerJson)
        plant(containerJson, secret)
        yield* workspace.prepareGroup(group, json)
        assert.isTrue(fs.lstatSync(containerJson).isFile())
        assert.deepStrictEqual(JSON.parse(fs.readFileSync(containerJson, "utf8")), json)
        assert.strictEqual(fs.readFileSync(secret, "utf8"), "of the host")
        assert.isFalse(fs.existsSync(`${secret}-none`))
      }),
    )

  story("say what is wrong when a folder can't be made", (dataDir, workspace) =>
    Effect.gen(function* () {
      fs.writeFileSync(path.join(dataDir, "groups"), "a file")
      const error = yield* Effect.flip(workspace.prepareGroup(group, json))
      assert.include(error.message, "g1")
    }),
  )
})

describe("a session's lists", () => {
  story("stand in its in/, whole", (_dataDir, workspace) =>
    Effect.gen(function* () {
      const mailbox = yield* Mailbox
      yield* mailbox.create(pairOf(1), nothingCarried)
      yield* workspace.writeSessionLists(pairOf(1), { tasks: [{ id: "t1" }], groups: [] })
      const { inDir } = mailbox.paths(pairOf(1))
      assert.deepStrictEqual(JSON.parse(fs.readFileSync(path.join(inDir, "current_tasks.json"), "utf8")), [
        { id: "t1" },
      ])
      assert.deepStrictEqual(
        JSON.parse(fs.readFileSync(path.join(inDir, "available_groups.json"), "utf8")),
        [],
      )
    }),
  )
})

describe("exit logs", () => {
  story("keep the end of what was written, private to the user", (_dataDir, workspace) =>
    Effect.gen(function* () {
      const file = yield* workspace.writeExitLog(log(1, `${"x".repeat(5_000)}the end`))
      const text = fs.readFileSync(file, "utf8")
      assert.isBelow(text.length, 2_300)
      for (const part of ["reason: crash", "--- output", "xthe end"]) assert.include(text, part)
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
    }),
  )

  story("are kept by count and by age, each session's apart", (_dataDir, workspace) =>
    Effect.gen(function* () {
      const now = Date.now()
      const files: Array<string> = []
      for (let n = 0; n < 5; n++) files.push(yield* workspace.writeExitLog(log(now + n, `${n}`)))
      const other = yield* workspace.writeExitLog(log(now, "other", "s2"))
      assert.deepStrictEqual(
        files.map((file) => fs.existsSync(file)),
        [false, false, true, true, true],
      )
      assert.isTrue(fs.existsSync(other))
      const old = new Date(now - 120_000)
      fs.utimesSync(files[2] ?? "", old, old)
      yield* workspace.writeExitLog(log(now + 5, "5"))
      assert.isFalse(fs.existsSync(files[2] ?? ""))
      assert.isTrue(fs.existsSync(files[4] ?? ""))
    }),
  )
})
