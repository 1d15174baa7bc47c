import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { checkDataDirectory } from "../../../src/layers/files/HostChecks.ts"
import { acquireDataDirectory } from "../../../src/layers/sqlite/DataDirectoryLock.ts"
import { spawnChild } from "../../support/ChildLines.ts"

const HOLDER = path.join(import.meta.dirname, "../../support/children/DirectoryHolder.ts")

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "data-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true })),
)

const modeOf = (file: string): number => fs.statSync(file).mode & 0o777

/** Holds it in a scope of its own, to be closed by the test. */
const hold = Effect.fnUntraced(function* (directory: string) {
  const scope = yield* Scope.make()
  const held = yield* Scope.provide(acquireDataDirectory(directory), scope)
  return { held, release: Scope.close(scope, Exit.void) }
})

describe("a data directory", () => {
  it.effect("is made for its owner alone, and remembers its install id", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* temporaryDirectory, "a", "b")
      const first = yield* hold(directory)
      assert.strictEqual(first.held.path, directory)
      assert.match(first.held.installId, /^[0-9a-f]{16}$/)
      assert.strictEqual(modeOf(directory), 0o700)
      for (const file of ["daemon.lock", "daemon.pid", "install-id"]) {
        assert.strictEqual(modeOf(path.join(directory, file)), 0o600, file)
      }
      const written = JSON.parse(fs.readFileSync(path.join(directory, "daemon.pid"), "utf8"))
      assert.strictEqual(written.pid, process.pid)
      yield* first.release
      assert.isFalse(fs.existsSync(path.join(directory, "daemon.pid")))
      const second = yield* hold(directory)
      assert.strictEqual(second.held.installId, first.held.installId)
      yield* second.release
    }),
  )

  it.live.each(["/proc/lamplighter", "/proc/lamplighter/a/b"])(
    "is refused where none can be made: %s",
    (directory) =>
      Effect.gen(function* () {
        const refused = yield* Effect.flip(acquireDataDirectory(directory))
        assert.strictEqual(refused.reason, "Inaccessible")
        assert.include(refused.message, directory)
      }),
  )

  it.effect("is refused when others may look into it, by the rule that the examination of a host uses", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      fs.chmodSync(directory, 0o755)
      const refused = yield* Effect.flip(acquireDataDirectory(directory))
      assert.strictEqual(refused.reason, "Exposed")
      const check = yield* Effect.promise(() => checkDataDirectory(directory))
      assert.strictEqual(check.level, "failure")
      assert.strictEqual(refused.message, `${check.message}; ${check.remedy}`)
      assert.deepStrictEqual(fs.readdirSync(directory), [], "nothing is written into it")
    }),
  )

  it.effect("has another install id than another directory", () =>
    Effect.gen(function* () {
      const parent = yield* temporaryDirectory
      const one = yield* acquireDataDirectory(path.join(parent, "one"))
      const two = yield* acquireDataDirectory(path.join(parent, "two"))
      assert.notStrictEqual(one.installId, two.installId)
    }),
  )

  it.live("belongs to one daemon, also within one process, and a refusal there loosens nothing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const first = yield* hold(directory)
      const refused = yield* Effect.flip(acquireDataDirectory(directory))
      assert.strictEqual(refused.reason, "InUse")
      assert.strictEqual(refused.pid, process.pid)
      const other = yield* spawnChild([process.execPath, HOLDER, directory])
      assert.strictEqual(yield* other.line(/./), `refused InUse ${process.pid}`)
      yield* first.release
      yield* acquireDataDirectory(directory)
    }),
  )

  it.live("is refused to a second process, which names the first", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const first = yield* spawnChild([process.execPath, HOLDER, directory])
      yield* first.line(/^held/)
      const refused = yield* Effect.flip(acquireDataDirectory(directory))
      assert.strictEqual(refused.reason, "InUse")
      assert.strictEqual(refused.pid, first.child.pid)
      assert.include(refused.message, `process id ${first.child.pid}`)
      assert.include(refused.message, directory)
      const second = yield* spawnChild([process.execPath, HOLDER, directory])
      assert.strictEqual(yield* second.line(/^refused/), `refused InUse ${first.child.pid}`)
      assert.isNull(first.child.exitCode)
    }),
  )

  it.live("is free as soon as its daemon is killed, and a stale pid accuses nobody", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const first = yield* spawnChild([process.execPath, HOLDER, directory])
      const held = yield* first.line(/^held/)
      first.child.kill("SIGKILL")
      yield* first.ended
      assert.strictEqual(
        JSON.parse(fs.readFileSync(path.join(directory, "daemon.pid"), "utf8")).pid,
        first.child.pid,
      )
      const { installId } = yield* acquireDataDirectory(directory)
      assert.strictEqual(held, `held ${installId}`)

      fs.writeFileSync(
        path.join(directory, "daemon.pid"),
        JSON.stringify({ pid: first.child.pid, startedAt: 1 }),
      )
      const refused = yield* Effect.flip(acquireDataDirectory(directory))
      assert.strictEqual(refused.reason, "InUse")
      assert.isNull(refused.pid)
      assert.include(refused.message, "not known")
    }),
  )

  it.effect("that is a file, or lies below one, is refused with the remedy", () =>
    Effect.gen(function* () {
      const file = path.join(yield* temporaryDirectory, "file")
      fs.writeFileSync(file, "")
      const isFile = yield* Effect.flip(acquireDataDirectory(file))
      assert.strictEqual(isFile.reason, "NotADirectory")
      assert.include(isFile.message, "name a directory")
      const below = yield* Effect.flip(acquireDataDirectory(path.join(file, "data")))
      assert.strictEqual(below.reason, "Inaccessible")
      assert.include(below.message, "choose another")
    }),
  )

  it.effect("that can't be written is refused", () =>
    Effect.gen(function* () {
      // No mode of a folder keeps root out.
      const directory = process.getuid?.() === 0 ? "/proc/self" : yield* temporaryDirectory
      if (directory !== "/proc/self") fs.chmodSync(directory, 0o500)
      const refused = yield* Effect.flip(acquireDataDirectory(directory))
      assert.strictEqual(refused.reason, "Inaccessible")
    }),
  )

  it.effect("whose files are not what a daemon wrote is refused, and left as it is", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = path.join(directory, "install-id")
      fs.writeFileSync(file, "NOT AN ID")
      const refused = yield* Effect.flip(acquireDataDirectory(directory))
      assert.strictEqual(refused.reason, "Damaged")
      assert.strictEqual(fs.readFileSync(file, "utf8"), "NOT AN ID")

      const other = yield* temporaryDirectory
      fs.writeFileSync(
        path.join(other, "daemon.lock"),
        "no database at all, and longer than a header ".repeat(50),
      )
      assert.strictEqual((yield* Effect.flip(acquireDataDirectory(other))).reason, "Damaged")
    }),
  )
})
