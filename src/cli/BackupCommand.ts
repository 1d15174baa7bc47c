/** `backup`: a copy of the ledger that can be trusted, made by the daemon while it runs, or here when it does not. */
import { Effect } from "effect"
import { Argument } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { checkBackup } from "../layers/sqlite/LedgerBackup.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { connectDaemon, daemonAnswers } from "./Connection.ts"
import { Filled } from "./Flags.ts"
import { dataDirectory, refusal, showing } from "./Root.ts"

export const backupCommand = showing(
  "backup",
  null,
  {
    file: Argument.String("file").pipe(
      Argument.withSchema(Filled),
      Argument.withDescription("Where the copy goes; must not exist"),
    ),
  },
  Effect.fnUntraced(function* ({ file }) {
    const dataDir = yield* dataDirectory
    const target = path.resolve(file)
    yield* (yield* daemonAnswers(dataDir))
      ? (yield* connectDaemon).backup({ path: target })
      : offlineBackup(path.join(dataDir, "lamplighter.db"), target)
    yield* checkBackup(target)
    return { path: target, bytes: fs.statSync(target).size }
  }),
  (copy) => [`${copy.path}: ${copy.bytes} bytes, checked`],
)

const offlineBackup = Effect.fnUntraced(function* (file: string, target: string) {
  if (!fs.existsSync(file)) {
    return yield* refusal(`there is no ledger at ${file}; name the data directory with --data`)
  }
  const ledger = SqliteLedger.layer({ path: file, mode: "read-only", commit: "immediate" })
  yield* Effect.flatMap(LedgerDriver, (driver) => driver.backup(target)).pipe(Effect.provide(ledger))
})
