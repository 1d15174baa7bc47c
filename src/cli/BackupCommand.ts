/** `backup`: a copy of the ledger that can be trusted, made by the daemon while it runs, or here when it does not. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { checkBackup } from "../layers/sqlite/LedgerBackup.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { connectDaemon, daemonAnswers } from "./Connection.ts"
import { Filled } from "./Flags.ts"
import { show } from "./Output.ts"
import { CommandError, dataDirectory, jsonFlag } from "./Root.ts"

export const backupCommand = Command.make(
  "backup",
  {
    file: Argument.String("file").pipe(
      Argument.withSchema(Filled),
      Argument.withDescription("Where the copy goes; must not exist"),
    ),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const target = path.resolve(input.file)
      if (yield* daemonAnswers(dataDir)) {
        yield* (yield* connectDaemon).backup({ path: target })
      } else {
        yield* offlineBackup(path.join(dataDir, "lamplighter.db"), target)
      }
      yield* checkBackup(target)
      const { size } = fs.statSync(target)
      yield* show(input.json, { path: target, bytes: size }, () => [`${target}: ${size} bytes, checked`])
    }),
).pipe(Command.withDescription("Copy the ledger, while the daemon runs or not, and check the copy"))

const offlineBackup = Effect.fnUntraced(function* (file: string, target: string) {
  if (!fs.existsSync(file)) {
    return yield* new CommandError({
      message: `there is no ledger at ${file}; name the data directory with --data`,
    })
  }
  const ledger = SqliteLedger.layer({ path: file, mode: "read-only", commit: "immediate" })
  yield* Effect.flatMap(LedgerDriver, (driver) => driver.backup(target)).pipe(Effect.provide(ledger))
})
