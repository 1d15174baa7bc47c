/** What a container leaves behind is removed, however it is built, and nothing else is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { IncarnationNumber } from "../../src/domain/Ids.ts"
import * as SqliteMailbox from "../../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox } from "../../src/services/Mailbox.ts"
import { nothingCarried, pairOf } from "../contract/Mailbox.contract.ts"
import { eventually } from "../support/ProcessWorld.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-removal-"))),
  (directory) => Effect.sync(() => void execFileSync("rm", ["-rf", directory])),
)

const left = (dataDir: string): ReadonlyArray<string> =>
  fs.readdirSync(path.join(dataDir, "tmp")).filter((name) => name.startsWith("gone-"))

/** Deeper than a path may be long: every step goes into the directory before it makes the next. */
const DEEP = `const { mkdirSync } = require("node:fs"); for (let n = 0; n < 600; n++) { mkdirSync("deep-deep-deep"); process.chdir("deep-deep-deep") }`

describe("a pair that a container filled", () => {
  it.live("is gone at once, and removed soon: deep, wide, closed, full of links", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporary
      const elsewhere = path.join(dataDir, "elsewhere")
      fs.mkdirSync(elsewhere)
      fs.writeFileSync(path.join(elsewhere, "secret"), "secret")
      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        for (const n of [1, 2]) yield* mailbox.create(pairOf(n), nothingCarried)
        const { outDir } = mailbox.paths(pairOf(1))
        const outbox = path.join(outDir, "outbox")
        for (let n = 0; n < 10_000; n++) fs.writeFileSync(path.join(outbox, `file-${n}`), "")
        execFileSync(process.execPath, ["-e", DEEP], { cwd: outbox })
        fs.symlinkSync(elsewhere, path.join(outbox, "link"))
        fs.symlinkSync(path.join(elsewhere, "secret"), path.join(outbox, "-rf"))
        fs.mkdirSync(path.join(outbox, "closed\n"))
        fs.writeFileSync(path.join(outbox, "closed\n", "file"), "")
        fs.chmodSync(path.join(outbox, "closed\n"), 0o000)
        execFileSync("mkfifo", [path.join(outbox, "fifo")])

        yield* mailbox.removeBelow(pairOf(2), IncarnationNumber.make(2))
        assert.isFalse(fs.existsSync(path.dirname(outDir)))
        yield* eventually("removed", () => left(dataDir).length === 0)
        assert.strictEqual(fs.readFileSync(path.join(elsewhere, "secret"), "utf8"), "secret")
        assert.strictEqual(yield* mailbox.revision(pairOf(2)), 0)
      }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
    }),
  )

  it.live("that a daemon had no time to remove is removed by the next", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporary
      fs.mkdirSync(path.join(dataDir, "tmp", "gone-before", "out"), { recursive: true })
      yield* Effect.provide(
        eventually("removed", () => left(dataDir).length === 0),
        SqliteMailbox.layer({ dataDir }),
      )
    }),
  )
})
