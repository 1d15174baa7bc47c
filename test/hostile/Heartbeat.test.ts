/** What a container may put in the place of its heartbeat or of its folder: the daemon asks lstat for it and opens nothing. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { observeHeartbeat } from "../../src/domain/Heartbeat.ts"
import * as SqliteMailbox from "../../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox } from "../../src/services/Mailbox.ts"
import { glanced, nothingCarried, pairOf } from "../contract/Mailbox.contract.ts"

const pair = pairOf(1)

const at =
  (seconds: number) =>
  (file: string): void => {
    fs.writeFileSync(file, "")
    execFileSync("touch", ["-d", `@${seconds}`, file])
  }

const cases: ReadonlyArray<readonly [what: string, make: (file: string) => void, mtime: number | null]> = [
  ["nothing", () => undefined, null],
  ["a FIFO", (file) => execFileSync("mkfifo", [file]), null],
  ["a directory", (file) => fs.mkdirSync(file), null],
  ["a link to a file that is always fresh", (file) => fs.symlinkSync("/proc/uptime", file), null],
  ["a link to itself", (file) => fs.symlinkSync(".heartbeat", file), null],
  [
    "a file of 2 GB",
    (file) => {
      at(1_700_000_000)(file)
      fs.truncateSync(file, 2 * 1024 ** 3)
      execFileSync("touch", ["-d", "@1700000000", file])
    },
    1_700_000_000_000,
  ],
  ["a time before 1970", at(-86_400), null],
  ["a time in the year 2200", at(7_258_118_400), 7_258_118_400_000],
]

const temporaryDir = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-heartbeat-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
)

describe("a heartbeat that lies", () => {
  for (const [what, make, mtime] of cases)
    it.live(`${what}: ${mtime === null ? "no heartbeat" : "its time, and nothing is opened"}`, () =>
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        const found = yield* Effect.gen(function* () {
          const mailbox = yield* Mailbox
          yield* mailbox.create(pair, nothingCarried)
          make(path.join(mailbox.paths(pair).outDir, ".heartbeat"))
          return glanced(mailbox, pair)
        }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
        assert.strictEqual(found.heartbeatMtime, mtime)
        const now = 1_800_000_000_000
        const { heartbeatAt } = observeHeartbeat(null, found.heartbeatMtime, now)
        assert.isTrue(heartbeatAt === null || heartbeatAt <= now, "never later than it was seen")
      }),
    )
})

const replacements: ReadonlyArray<readonly [what: string, make: (outDir: string) => void]> = [
  ["nothing", () => undefined],
  ["a plain file", (outDir) => fs.writeFileSync(outDir, "")],
  ["a FIFO", (outDir) => execFileSync("mkfifo", [outDir])],
  ["a link to itself", (outDir) => fs.symlinkSync(outDir, outDir)],
  ["a link to nowhere", (outDir) => fs.symlinkSync("/nowhere/at/all", outDir)],
]

describe("an out directory that is replaced", () => {
  for (const [what, make] of replacements)
    it.live(`${what} in its place is quarantined at the next glance`, () =>
      Effect.gen(function* () {
        const dataDir = yield* temporaryDir
        yield* Effect.gen(function* () {
          const mailbox = yield* Mailbox
          yield* mailbox.create(pair, nothingCarried)
          const { outDir } = mailbox.paths(pair)
          fs.rmSync(outDir, { recursive: true })
          make(outDir)
          assert.strictEqual(mailbox.glance(pair)._tag, "Quarantined")
        }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
      }),
    )
})

describe("a change that has just happened", () => {
  it.live("makes each stamp unique, though the host's clock is not that of its files", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDir
      const real = Date.now
      const clock = vi.spyOn(Date, "now").mockImplementation(() => real() + 300_000)
      yield* Effect.addFinalizer(() => Effect.sync(() => clock.mockRestore()))
      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.create(pair, nothingCarried)
        const { outDir } = mailbox.paths(pair)
        // Another change may share the times of this one: whoever sees equal stamps would miss it. A busy machine may look too late.
        const isUnique = Array.from({ length: 50 }).some(() => {
          fs.chmodSync(path.join(outDir, "outbound.db"), 0o600)
          return glanced(mailbox, pair).stamp !== glanced(mailbox, pair).stamp
        })
        assert.isTrue(isUnique)
      }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
    }),
  )
})
