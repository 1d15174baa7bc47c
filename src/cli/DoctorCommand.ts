/** `doctor`: whether this host can do what the settings ask of it, one line per question, each with what would help. */
import { Effect, Option, Result } from "effect"
import { Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { loadSettings, type Settings, unknownVariables } from "../layers/Configuration.ts"
import { locate } from "../layers/configuration/Location.ts"
import { checkDataDirectory, checkDisk } from "../layers/files/HostChecks.ts"
import { nearestFolder } from "../layers/files/PrivateFolder.ts"
import { check, type Check } from "../domain/Check.ts"
import { LedgerDriver } from "../services/LedgerDriver.ts"
import { connectDaemon, daemonAnswers } from "./Connection.ts"
import { builderOptions, engineOptions } from "./DockerOptions.ts"
import { hints } from "./Invocation.ts"
import { show } from "./Output.ts"
import { dataDirectory, dataOption, jsonFlag, refusal, runtimeFlag } from "./Root.ts"

const fileOf = (settings: Settings): string => {
  const { file } = locate({ env: process.env, dataDir: settings.dataDir })
  return fs.existsSync(file) ? file : `the defaults (there is no ${file})`
}

const checkSettings = (settings: Settings): ReadonlyArray<Check> => [
  check("settings", "ok", `runtime ${settings.runtime}; from the environment, then ${fileOf(settings)}`),
  check(
    "time zone",
    "ok",
    `${settings.zone}, where it is ${new Intl.DateTimeFormat("en-GB", { timeZone: settings.zone, dateStyle: "medium", timeStyle: "long" }).format(Date.now())}`,
  ),
  ...unknownVariables(process.env).map((message) =>
    check("environment", "warning", message, "correct the name of the variable, or unset it"),
  ),
]

const MARKS = { ok: "ok", warning: "WARN", failure: "FAIL" } as const

const badSettings = ({ message }: { readonly message: string }) =>
  check(
    "settings",
    "failure",
    message,
    "correct what is named; docs/configuration.md describes every setting",
  )

const checkDirectory = async (dataDir: string): Promise<ReadonlyArray<Check>> => {
  const directory = await checkDataDirectory(dataDir)
  if (directory.level === "failure") return [directory]
  const { checkLocks } = await import("../layers/sqlite/LockCheck.ts")
  const locks = await checkLocks(nearestFolder(dataDir), process.execPath)
  return [directory, locks, await checkDisk(dataDir)]
}

const checkDocker = async (settings: Settings): Promise<ReadonlyArray<Check>> => {
  if (settings.runtime !== "docker") return []
  const { checkEngine } = await import("../layers/docker/EngineChecks.ts")
  const { agent, base, build } = builderOptions(settings)
  const wishes = { agent, base, build, strict: settings.docker.strictRuntime }
  return Effect.runPromise(checkEngine(engineOptions(settings), wishes))
}

/** Of a list that nobody reads to its end. */
const MAX_LISTED = 20

/** What stands in the ledger, if there is one: zones that were taken once and that nobody may choose now. */
const checkLedger = Effect.fnUntraced(function* (dataDir: string) {
  const file = path.join(dataDir, "lamplighter.db")
  if (!fs.existsSync(file)) return []
  const SqliteLedger = yield* Effect.promise(() => import("../layers/sqlite/SqliteLedger.ts"))
  const { refusedZones } = yield* Effect.promise(() => import("../services/ledger/FindSeries.ts"))
  const ledger = SqliteLedger.layer({ path: file, mode: "read-only", commit: "immediate" })
  return yield* LedgerDriver.pipe(
    Effect.flatMap((driver) => driver.read((reader) => refusedZones(reader, MAX_LISTED))),
    Effect.provide(ledger),
    Effect.match({
      onSuccess: (zones) =>
        zones.map(({ id, kind, problem }) => {
          const remedy = `lamplighter ${kind === "group" ? "group set" : "task update"} ${id} --zone ZONE`
          return check(`zone of ${kind} ${id}`, "warning", `${problem} Its tasks go on by it.`, remedy)
        }),
      onFailure: ({ message }) => [
        check("ledger", "failure", message, "restore it from a backup, or read what is named"),
      ],
    }),
  )
})

/** What the daemon says of itself, if one runs: clocks that differ or jumped, what fails again and again. */
const checkDaemon = Effect.fnUntraced(
  function* (dataDir: string) {
    if (!(yield* daemonAnswers(dataDir))) return []
    const { warnings } = yield* (yield* connectDaemon).status()
    const remedy = "lamplighter status shows it as it is now, lamplighter events what led to it"
    return warnings.map((message) => check("daemon", "warning", message, remedy))
  },
  Effect.catch(({ message }: { readonly message: string }) =>
    Effect.succeed([check("daemon", "failure", message, "look at the daemon's own log")]),
  ),
)

export const doctorCommand = Command.make(
  "doctor",
  { runtime: runtimeFlag, json: jsonFlag },
  Effect.fnUntraced(function* (input) {
    const dataDir = yield* dataDirectory
    const loaded = yield* loadSettings({ env: process.env, dataDir: yield* dataOption }).pipe(
      Effect.map((settings) => ({
        ...settings,
        runtime: Option.getOrElse(input.runtime, () => settings.runtime),
      })),
      Effect.result,
    )
    const checks: ReadonlyArray<Check> = [
      ...Result.match(loaded, { onSuccess: checkSettings, onFailure: (error) => [badSettings(error)] }),
      ...(yield* Effect.promise(() => checkDirectory(dataDir))),
      ...(yield* checkLedger(dataDir)),
      ...(yield* checkDaemon(dataDir)),
      ...(Result.isSuccess(loaded) ? yield* Effect.promise(() => checkDocker(loaded.success)) : []),
    ]
    const say = yield* hints
    yield* show(input.json, checks, () =>
      checks.flatMap(({ level, message, name, remedy }) => [
        say(`${MARKS[level].padEnd(4)}  ${name}: ${message}`),
        ...(remedy === null ? [] : [say(`      remedy: ${remedy}`)]),
      ]),
    )
    const failures = checks.filter(({ level }) => level === "failure").map(({ name }) => name)
    if (failures.length > 0) return yield* refusal(`${failures.join(", ")}: the daemon can't work like this`)
  }),
)
