/** A process for tests: takes the data directory given, prints `held` or `refused <reason> <pid>`, and holds it until it is ended. */
import { Effect, Result } from "effect"
import * as fs from "node:fs"
import { acquireDataDirectory } from "../../../src/layers/sqlite/DataDirectoryLock.ts"

const [directory = ""] = process.argv.slice(2)
const say = (line: string): void => {
  fs.writeSync(1, `${line}\n`)
}

const program = Effect.gen(function* () {
  const outcome = yield* Effect.result(acquireDataDirectory(directory))
  if (Result.isFailure(outcome)) {
    say(`refused ${outcome.failure.reason} ${outcome.failure.pid}`)
    return
  }
  say(`held ${outcome.success.installId}`)
  return yield* Effect.never
})

// A pending promise alone does not keep a process alive.
setInterval(() => undefined, 1_000)
await Effect.runPromise(Effect.scoped(program))
process.exit(0)
