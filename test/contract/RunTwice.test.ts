import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Result } from "effect"
import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import { LedgerDriver, type LedgerTx } from "../../src/services/LedgerDriver.ts"
import { layerRunTwice } from "../../src/testing/RunTwice.ts"
import { aGroup, gid } from "../support/Rows.ts"

const defectOf = (body: (tx: LedgerTx) => unknown) =>
  Effect.flatMap(LedgerDriver, (driver) =>
    Effect.exit(driver.transaction((tx) => Result.succeed(body(tx)))),
  ).pipe(
    Effect.map((exit) => (Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "no defect")),
    Effect.provide(layerRunTwice(MemoryLedger.layer)),
  )

describe("a transaction's body that is run twice", () => {
  it.effect("passes when it does the same again, and what it wrote is there", () =>
    Effect.gen(function* () {
      const driver = yield* LedgerDriver
      yield* driver.transaction((tx) => {
        if (tx.group(gid("g1")) === undefined) tx.putGroup(aGroup())
        return Result.succeed(tx.group(gid("g1")))
      })
      assert.strictEqual((yield* driver.read((reader) => reader.groups())).length, 1)
    }).pipe(Effect.provide(layerRunTwice(MemoryLedger.layer))),
  )

  it.effect("is found out when it keeps state: in what it writes, in what it leaves out, in its result", () =>
    Effect.gen(function* () {
      let count = 0
      assert.include(yield* defectOf((tx) => tx.putMeta("n", String(count++))), `putMeta["n","1"]`)
      let done = false
      const once = (tx: LedgerTx) => {
        if (!done) tx.putMeta("n", "1")
        done = true
      }
      assert.include(yield* defectOf(once), "did less: putMeta")
      assert.include(yield* defectOf(() => count++), "came to")
    }),
  )
})
