/** The host's bell, from both sides: what the mailbox touches, the runner hears. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Bell } from "../../container/agent-runner/Bell.ts"
import * as SqliteMailbox from "../../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox } from "../../src/services/Mailbox.ts"
import { nothingCarried, pairOf, projection } from "../contract/Mailbox.contract.ts"

const AN_HOUR_MS = 3_600_000
const never = new AbortController().signal
const pair = pairOf(1)

/** A pause of an hour that something else than its time has to end. */
const paused = (bell: Bell) =>
  Effect.promise((signal) => bell.pause(AN_HOUR_MS, signal)).pipe(Effect.timeout("20 seconds"))

const withMailbox = <A, E>(tell: (mailbox: Mailbox["Service"], inDir: string) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const dataDir = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-bell-"))),
      (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
    )
    return yield* Effect.gen(function* () {
      const mailbox = yield* Mailbox
      yield* mailbox.create(pair, nothingCarried)
      return yield* tell(mailbox, mailbox.paths(pair).inDir)
    }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
  })

describe("the host's bell", () => {
  it.live("ends a pause of an hour when something is projected, and one that begins after it rang", () =>
    withMailbox((mailbox, inDir) =>
      Effect.gen(function* () {
        const bell = new Bell(path.join(inDir, "inbound.db"))
        bell.listen()
        const pause = paused(bell)
        const ring = mailbox.project(pair, projection(1, [[{ seq: 2 }, "pending"]]))
        yield* Effect.all([pause, ring], { concurrency: "unbounded" })
        yield* pause
      }),
    ),
  )

  it.live("is heard by a runner that knows inbound.db by a link, as in a container", () =>
    withMailbox((mailbox, inDir) =>
      Effect.gen(function* () {
        const link = path.join(inDir, "../out/link.db")
        fs.symlinkSync(path.join(inDir, "inbound.db"), link)
        const bell = new Bell(link)
        bell.listen()
        const pause = paused(bell)
        yield* Effect.all([pause, mailbox.project(pair, projection(1, []))], { concurrency: "unbounded" })
      }),
    ),
  )

  it.live("touches nothing behind a link, and is missed by nobody when it is gone", () =>
    withMailbox((mailbox, inDir) =>
      Effect.gen(function* () {
        const elsewhere = path.join(inDir, "elsewhere")
        fs.writeFileSync(elsewhere, "")
        fs.utimesSync(elsewhere, 1, 1)
        fs.rmSync(path.join(inDir, ".bell"))
        fs.symlinkSync(elsewhere, path.join(inDir, ".bell"))
        yield* mailbox.project(pair, projection(1, []))
        assert.strictEqual(fs.statSync(elsewhere).mtimeMs, 1_000)
        fs.rmSync(path.join(inDir, ".bell"))
        yield* mailbox.project(pair, projection(2, []))
        const bell = new Bell(path.join(inDir, "inbound.db"))
        yield* Effect.promise(() => bell.pause(1, never))
      }),
    ),
  )
})
