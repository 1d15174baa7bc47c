import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { MessageId, SeriesId, GroupId } from "../../src/domain/Ids.ts"
import {
  ask,
  ledgerOf,
  pause,
  realDaemon,
  type RealDaemon,
  stopCleanly,
  sendTo,
} from "../support/RealDaemon.ts"
import { plainGroup } from "../../src/domain/Group.ts"
import { patience } from "../support/Patience.ts"

const HOUR_MS = 3_600_000
const LIBRARIES = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
]

/** A wall clock that a test can set: libfaketime reads how far it is off from a file, and leaves the monotonic clock alone. */
const fakeClock = (file: string, library: string): Readonly<Record<string, string>> => ({
  LD_PRELOAD: library,
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_NO_CACHE: "1",
  DONT_FAKE_MONOTONIC: "1",
  NO_FAKE_STAT: "1",
})

/** The library, or why there is none that works here. */
const found = ((): { readonly library: string } | { readonly missing: string } => {
  const library = LIBRARIES.find((file) => fs.existsSync(file))
  if (library === undefined) return { missing: "libfaketime is not installed (apt-get install libfaketime)" }
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-clock-")), "offset")
  try {
    fs.writeFileSync(file, "+7200\n")
    const said = execFileSync(process.execPath, ["-p", "Date.now()"], {
      env: { ...process.env, ...fakeClock(file, library) },
      encoding: "utf8",
      timeout: 10_000,
    })
    const offMs = Number(said) - Date.now()
    return offMs > HOUR_MS
      ? { library }
      : { missing: `Node's clock does not follow it: it is ${offMs} ms off` }
  } catch (cause) {
    return { missing: cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause) }
  } finally {
    fs.rmSync(path.dirname(file), { recursive: true, force: true })
  }
})()
if ("missing" in found) {
  if (process.env["LAMPLIGHTER_REQUIRE_FAKETIME"] === "1") throw new Error(found.missing)
  console.log(`the jumping clock is skipped: ${found.missing}`)
}

/** Works for some seconds with signs of progress; one text makes it hang instead. */
const AGENT = `
prompt=$(cat)
case "$prompt" in
  *hang*) sleep 600 ;;
  *) for beat in 1 2 3 4 5 6 7 8; do echo "at work $beat"; sleep 1; done; echo done ;;
esac
`

const addGroup = (world: RealDaemon) =>
  ask(world, (http) =>
    http.addGroup({
      ...plainGroup(GroupId.make("g1")),
      provider: { name: "command", command: ["bash", "-c", AGENT], timeoutMs: null, model: null },
      policy: {
        idleMs: 1_500,
        graceMs: 1_000,
        retryBaseMs: 100,
        ceilingMs: 6_000,
        claimToleranceMs: 5_000,
      },
    }),
  )

const send = (world: RealDaemon, id: string) => sendTo(world, id, id)

const messageOf = (world: RealDaemon, id: string) =>
  ledgerOf(world, (reader) => reader.message(MessageId.make(id)))

const until = async (
  world: RealDaemon,
  what: string,
  limitMs: number,
  holds: () => Promise<boolean>,
): Promise<void> => {
  const deadline = performance.now() + patience(limitMs)
  while (!(await holds())) {
    if (performance.now() > deadline)
      assert.fail(`${what}: not within ${limitMs} ms; the daemon said: ${world.heard()}`)
    await pause(100)
  }
}

const claimed = (world: RealDaemon, id: string) => async () =>
  (await messageOf(world, id))?.state === "claimed"
const ended = (world: RealDaemon, id: string) => async () => (await messageOf(world, id))?.endedAt != null

describe.skipIf("missing" in found)("a wall clock that is set while agents work", () => {
  it(
    "costs none of them anything, fires no slot twice, and hides no hang",
    { timeout: patience(180_000) },
    async () => {
      const library = "library" in found ? found.library : ""
      const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-clock-"))
      const offset = path.join(scratch, "offset")
      // Always behind the real clock: files have real times, and one in the future counts as seen now. Renamed into place, because the
      // library must never see half a file.
      const setClock = (hours: number): void => {
        fs.writeFileSync(`${offset}.new`, `-${(12 - hours) * 3_600}\n`)
        fs.renameSync(`${offset}.new`, offset)
      }
      setClock(0)
      const world = realDaemon({ env: fakeClock(offset, library) })
      try {
        const child = await world.bootAndWait()
        assert.isNotNull(await addGroup(world))

        // Forward in the middle of the work: an age of three hours, to whoever subtracts wall clocks.
        assert.isNotNull(await send(world, "m-forward"))
        await until(world, "m-forward is claimed", 20_000, claimed(world, "m-forward"))
        setClock(3)
        await until(world, "m-forward ends", 40_000, ended(world, "m-forward"))
        assert.include(world.heard(), "the clock jumped by")

        // A task of every hour, made now: the jump passes five slots at once.
        assert.isNotNull(
          await ask(world, (http) =>
            http.addTask({
              id: SeriesId.make("t-hourly"),
              groupId: "g1" as never,
              name: null,
              prompt: "tick",
              script: null,
              schedule: "every 1h",
              zone: null,
              ttlMs: null,
            }),
          ),
        )
        const runs = () =>
          ledgerOf(world, (reader) => reader.runs({ seriesId: SeriesId.make("t-hourly") }, { limit: 50 }))
        const fired = async () => (await runs()).filter(({ messageId }) => messageId !== null).length
        assert.strictEqual(await fired(), 0)
        setClock(8)
        await until(world, "one run for all that was passed", 30_000, async () => (await fired()) > 0)
        assert.strictEqual(await fired(), 1)
        const missed = (await runs()).filter(({ outcome }) => outcome === "missed")
        assert.strictEqual(
          missed.reduce((sum, { count }) => sum + count, 0),
          4,
        )

        // Back in the middle of the work, by more than the work is old.
        assert.isNotNull(await send(world, "m-back"))
        await until(world, "m-back is claimed", 20_000, claimed(world, "m-back"))
        setClock(6)
        await until(world, "m-back ends", 40_000, ended(world, "m-back"))

        // Who hangs is noticed, whatever the clock does meanwhile.
        assert.isNotNull(await send(world, "m-hang"))
        await until(world, "m-hang is claimed", 20_000, claimed(world, "m-hang"))
        setClock(4)
        await until(
          world,
          "the hang is noticed",
          40_000,
          async () => ((await messageOf(world, "m-hang"))?.tries ?? 0) > 0,
        )
        await ask(world, (http) => http.cancelMessage({ id: MessageId.make("m-hang") }))

        assert.strictEqual(await fired(), 1, "a slot fired twice")
        for (const id of ["m-forward", "m-back"]) {
          const message = await messageOf(world, id)
          assert.deepInclude(message, { state: "completed", tries: 0, attempts: 1 }, id)
        }
        await stopCleanly(world, child)
      } finally {
        await world.close()
        fs.rmSync(scratch, { recursive: true, force: true })
      }
    },
  )
})
