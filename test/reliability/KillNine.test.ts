import { assert, describe, it } from "@effect/vitest"
import { seededRandom } from "../../src/testing/SeededRandom.ts"
import {
  addEchoGroup,
  checkLedger,
  pause,
  realDaemon,
  startLoad,
  stopCleanly,
  untilUp,
  untilSettled,
} from "../support/RealDaemon.ts"
import { patience } from "../support/Patience.ts"

/** `LAMPLIGHTER_KILLS=200` for the long campaign; `LAMPLIGHTER_KILL_SEED` for other moments. */
const KILLS = Number(process.env["LAMPLIGHTER_KILLS"] ?? 5)
const SEED = process.env["LAMPLIGHTER_KILL_SEED"] ?? "kill-nine"
const CONVERGE_EVERY = 20
const SENDERS = 3

describe("kill -9 under load", () => {
  it(
    `keeps every promise over ${KILLS} kills at random moments`,
    { timeout: patience(120_000 + KILLS * 6_000) },
    async () => {
      const world = realDaemon()
      const random = seededRandom(SEED)
      try {
        let child = await world.bootAndWait()
        assert.isNotNull(await addEchoGroup(world))
        const load = startLoad(world, SENDERS)
        let early = 0
        for (let kill = 1; kill <= KILLS; kill++) {
          // Every other kill waits until it is at work: on a slow machine nearly all of them would hit its start.
          if (kill % 2 === 0) await untilUp(world)
          await pause(random.between(0, kill % 2 === 0 ? 1_500 : 2_000))
          if (!world.isUp()) early += 1
          child.kill("SIGKILL")
          await world.ended(child)
          if (kill % CONVERGE_EVERY === 0 || kill === KILLS) {
            load.state = "paused"
            child = await world.bootAndWait()
            await untilSettled(world, load)
            load.state = "running"
          } else {
            child = world.boot()
          }
        }
        load.state = "over"
        await load.ended()
        await untilSettled(world, load)
        await stopCleanly(world, child)

        assert.deepStrictEqual(load.doubles, [])
        assert.isAbove(load.acknowledged.size, KILLS / 2)
        const figures = await checkLedger(world, load)
        console.log(
          `kill -9: ${KILLS} kills (${early} before it was up, seed ${SEED}), ${figures.messages} messages, ` +
            `${figures.lives} incarnations, ${figures.lines} lines delivered, ${figures.repeats} of them repeats with their key`,
        )
      } finally {
        await world.close()
      }
    },
  )
})
