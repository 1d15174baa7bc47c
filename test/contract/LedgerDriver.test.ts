import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import { LedgerDriver, type LedgerTx } from "../../src/services/LedgerDriver.ts"
import { DeliveryStatus } from "../../src/domain/Delivery.ts"
import { MessageKind, MessageState } from "../../src/domain/Message.ts"
import { RunOutcome } from "../../src/domain/Run.ts"
import {
  aDelivery,
  aMessage,
  anAttempt,
  anEvent,
  anIncarnation,
  aRun,
  aSeries,
  aSession,
  T0,
} from "../support/Rows.ts"
import { everyAnswer, ledgerDriverContract, write } from "./LedgerDriver.contract.ts"

const onFile = (commit: "group" | "immediate") =>
  Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "ledger-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true })),
      ),
      (directory) => SqliteLedger.layer({ path: path.join(directory, "l.db"), mode: "read-write", commit }),
    ),
  )

ledgerDriverContract("in memory", MemoryLedger.layer)
ledgerDriverContract("in SQLite's memory", SqliteLedger.layerMemory)
ledgerDriverContract("in a file, each commit by itself", onFile("immediate"))
ledgerDriverContract("in a file, committed in groups", onFile("group"))

/** Numbers below `bound`, always the same from the same seed (mulberry32). */
const makeDice = (seed: number) => {
  let state = seed
  return (bound: number): number => {
    state = (state + 0x6d_2b_79_f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

/** Few ids and few instants, so that rows replace each other and sort equal. */
const randomWrite = (dice: (bound: number) => number) => {
  const pick = <A>(values: ReadonlyArray<A>): A => values[dice(values.length)] as A
  const instant = () => T0 - 2 + dice(5)
  const maybe = <A>(value: A): A | null => (dice(2) === 0 ? value : null)
  const flip = () => dice(2) === 0
  const session = pick(["s1", "s2"])
  const writes: ReadonlyArray<(tx: LedgerTx) => void> = [
    (tx) =>
      tx.putSession(
        aSession({
          id: session,
          status: pick(["active", "held", "quarantined"]),
          live: flip(),
          wakeAt: maybe(instant()),
          wakePriority: dice(3),
          queued: dice(9),
        }),
      ),
    (tx) =>
      tx.putMessage(
        aMessage({
          id: `m${dice(12)}`,
          sessionId: session,
          seq: dice(4),
          kind: pick(MessageKind.literals),
          state: pick(MessageState.literals),
          trigger: dice(4) > 0,
          onWake: flip(),
          priority: pick([0, 1, 2] as const),
          dueAt: instant(),
          expiresAt: maybe(instant()),
          seriesId: maybe("t1"),
          slot: maybe(instant()),
          admittedIn: dice(3),
          revision: dice(4),
          endedAt: maybe(instant()),
        }),
      ),
    (tx) =>
      tx.putAttempt(
        anAttempt({
          messageId: `m${dice(12)}`,
          sessionId: session,
          claimedAt: instant(),
          endedAt: maybe(instant()),
          costsTry: maybe(flip()),
        }),
      ),
    (tx) =>
      tx.putIncarnation(
        anIncarnation({
          sessionId: session,
          number: 1 + dice(4),
          groupId: pick(["g1", "g2"]),
          phase: pick(["starting", "running", "ended"]),
          endedAt: maybe(instant()),
        }),
      ),
    (tx) => {
      const outboundId = maybe(`o${dice(8)}`)
      tx.putDelivery(
        aDelivery({
          sessionId: session,
          outboundId,
          seq: outboundId === null ? null : maybe(1 + 2 * dice(4)),
          status: pick(DeliveryStatus.literals),
          nextAttemptAt: maybe(instant()),
          revision: dice(4),
          endedAt: maybe(instant()),
        }),
      )
    },
    (tx) =>
      tx.putSeries(
        aSeries({
          id: `t${dice(3)}`,
          sessionId: session,
          status: pick(["active", "paused", "completed"]),
          nextSlot: maybe(instant()),
        }),
      ),
    (tx) =>
      tx.putRun(
        aRun({
          sessionId: session,
          seriesId: maybe("t1"),
          outcome: pick(RunOutcome.literals),
          endedAt: instant(),
        }),
      ),
    (tx) => tx.appendEvent(anEvent({ sessionId: maybe(session), text: String(dice(9)) })),
    (tx) => tx.putSessionState(aSession({ id: session }).id, [{ key: "k", value: String(dice(9)) }]),
    (tx) => {
      if (dice(4) === 0) tx.deleteHistory(instant(), 1 + dice(3))
    },
    (tx) => {
      if (dice(8) === 0) tx.trimEvents(dice(4))
    },
  ]
  return pick(writes)
}

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 }))

describe("memory and SQLite", () => {
  it.effect.prop(
    "answer every question alike, whatever was written in whatever order",
    { seed: Seed },
    ({ seed }) =>
      Effect.gen(function* () {
        const run = Effect.gen(function* () {
          const dice = makeDice(seed)
          const driver = yield* LedgerDriver
          const answers: Array<unknown> = []
          for (let round = 0; round < 4; round++) {
            for (let count = 0; count < 30; count++) yield* write(randomWrite(dice))
            answers.push(yield* driver.read(everyAnswer))
          }
          return answers
        })
        const inMemory = yield* run.pipe(Effect.provide(Layer.fresh(MemoryLedger.layer)))
        const inSqlite = yield* run.pipe(Effect.provide(Layer.fresh(SqliteLedger.layerMemory)))
        assert.deepStrictEqual(inMemory, inSqlite)
      }),
    { arbitrary: { runs: 40 } },
  )
})
