/**
 * A process for tests to kill or to starve of disk: accepts messages one by one in the ledger given and prints `accepted <n>` after
 * each, until a write fails; then it prints what it was told, what the next write is told, and what a read still finds.
 */
import { Effect, Result } from "effect"
import * as fs from "node:fs"
import * as SqliteLedger from "../../../src/layers/sqlite/SqliteLedger.ts"
import { aMessage, mid } from "../Rows.ts"

const [file = ""] = process.argv.slice(2)
const say = (line: string): void => {
  fs.writeSync(1, `${line}\n`)
}
const content = JSON.stringify({ text: "x".repeat(2_000) })

const program = Effect.gen(function* () {
  const driver = yield* SqliteLedger.make({ path: file, mode: "read-write", commit: "group" })
  const accept = (n: number) =>
    driver.transaction((tx) => {
      tx.putMessage(aMessage({ id: `m${n}`, seq: n, content }))
      return Result.succeed(n)
    })
  for (let n = 1; ; n++) {
    const outcome = yield* Effect.result(accept(n))
    if (Result.isSuccess(outcome)) {
      say(`accepted ${n}`)
      continue
    }
    say(`failed ${outcome.failure.reason}`)
    const next = yield* Effect.flip(accept(n + 1))
    say(`then ${next.reason}`)
    const found = yield* driver.read((reader) => reader.message(mid(`m${n - 1}`)) !== undefined)
    say(`reads ${found}`)
    return
  }
})

await Effect.runPromise(Effect.scoped(program))
