import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import {
  addEchoGroup,
  ask,
  checkLedger,
  ledgerOf,
  pause,
  realDaemon,
  type RealDaemon,
  sendText,
  startLoad,
  stopCleanly,
  untilSettled,
} from "../support/RealDaemon.ts"
import { patience } from "../support/Patience.ts"

const DISK = "24m"
const ROUNDS = 3
const FULL_MS = 3_000
const SENDERS = 3
const BOOT_LIMIT_MS = patience(30_000)

const mount = (directory: string): void => {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK},mode=700`, "lamplighter-test", directory], {
    stdio: ["ignore", "ignore", "pipe"],
  })
}
const unmount = (directory: string): void => {
  execFileSync("umount", ["-l", directory], { stdio: "ignore" })
}

/** Why no disk of its own can be made here; null: one can. */
const missing = ((): string | null => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-mount-"))
  try {
    mount(directory)
    unmount(directory)
    return null
  } catch (cause) {
    return cause instanceof Error ? cause.message.split("\n").join(" ") : String(cause)
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
})()
if (missing !== null) {
  if (process.env["LAMPLIGHTER_REQUIRE_MOUNT"] === "1") throw new Error(`a mount is required: ${missing}`)
  console.log(`the full disk is skipped: ${missing} (a small tmpfs is mounted, as root)`)
}

/** Fills what is left, to the last byte. */
const fill = (world: RealDaemon): string => {
  const ballast = path.join(world.dataDir, "ballast")
  for (const size of [1 << 20, 1 << 16, 1 << 12, 1]) {
    try {
      for (;;) fs.appendFileSync(ballast, Buffer.alloc(size))
    } catch (cause) {
      assert.strictEqual((cause as NodeJS.ErrnoException).code, "ENOSPC")
    }
  }
  return ballast
}

const isGone = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** Killed, and started again on the full disk: it comes up, or says what is wrong and ends. */
const restartedWhileFull = async (world: RealDaemon, child: ChildProcess): Promise<ChildProcess> => {
  child.kill("SIGKILL")
  await world.ended(child)
  const next = world.boot()
  const deadline = Date.now() + BOOT_LIMIT_MS
  while (!world.isUp() && !isGone(next)) {
    assert.isBelow(Date.now(), deadline, `it neither comes up nor ends: ${world.heard()}`)
    await pause(20)
  }
  if (isGone(next)) assert.match(world.heard(), /full|space/i)
  return next
}

describe.skipIf(missing !== null)("a disk that is really full", () => {
  it(
    "acknowledges nothing that is not durable, goes on reading, and goes on when there is room again",
    { timeout: patience(240_000) },
    async () => {
      let disk = ""
      const world = realDaemon({
        prepare: (dataDir) => {
          mount(dataDir)
          disk = dataDir
        },
      })
      let sent = 0
      let refused = 0
      let restarts = 0
      try {
        let child = await world.bootAndWait()
        assert.isNotNull(await addEchoGroup(world))
        const load = startLoad(world, SENDERS)
        for (let round = 0; round < ROUNDS; round++) {
          while (load.acknowledged.size < (round + 1) * 10) await pause(50)
          const ballast = fill(world)
          const deadline = Date.now() + FULL_MS
          while (Date.now() < deadline) {
            const id = `full-${sent++}`
            if ((await sendText(world, id, 0)) === null) {
              refused += 1
              const stored = await ledgerOf(world, (reader) => reader.message(id as never))
              assert.isUndefined(stored, `${id} was refused, and is in the ledger`)
            } else {
              load.acknowledged.add(id)
            }
            if (!isGone(child)) {
              const sessions = await ask(world, (http) => http.sessions({}))
              if (!isGone(child)) assert.isAbove(sessions?.length ?? 0, 0, "nothing can be read")
            }
            await pause(50)
          }
          if (round === ROUNDS - 1) child = await restartedWhileFull(world, child)
          fs.rmSync(ballast)
          if (isGone(child)) {
            assert.notStrictEqual(child.exitCode, 0, "it ended as if all were well")
            child = await world.bootAndWait()
            restarts += 1
          }
          load.state = "paused"
          await untilSettled(world, load)
          load.state = "running"
        }
        load.state = "over"
        await load.ended()
        await untilSettled(world, load)
        await stopCleanly(world, child)
        assert.isAbove(refused, 0, "the disk was never full")
        assert.deepStrictEqual(load.doubles, [])
        const figures = await checkLedger(world, load)
        console.log(
          `full disk: ${ROUNDS} times, ${refused} sends refused and ${figures.messages} acknowledged, ${restarts} restarts, ` +
            `${figures.lines} lines delivered, ${figures.repeats} of them repeats with their key`,
        )
      } finally {
        await world.close().catch(() => {})
        if (disk !== "") unmount(disk)
        fs.rmSync(path.dirname(disk), { recursive: true, force: true })
      }
    },
  )
})
