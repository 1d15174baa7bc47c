/** `doctor`: whether this host can do what the settings ask of it, one line per question, each with what would help. */
import { Effect, Option } from "effect"
import { Command } from "effect/cli"
import * as fs from "node:fs"
import { loadSettings, locate, type Settings } from "../layers/Configuration.ts"
import { checkDataDirectory, checkDisk, nearestFolder } from "../layers/files/HostChecks.ts"
import { checkLocks } from "../layers/sqlite/LockCheck.ts"
import { checkEngine } from "../layers/docker/EngineChecks.ts"
import type { Check } from "../domain/Check.ts"
import { builderOptions, engineOptions } from "./DockerOptions.ts"
import { show } from "./Output.ts"
import { CommandError, dataDirectory, dataOption, jsonFlag, runtimeFlag } from "./Root.ts"

const fileOf = (settings: Settings): string => {
  const { file } = locate({ env: process.env, dataDir: settings.dataDir })
  return fs.existsSync(file) ? file : `the defaults (there is no ${file})`
}

const checkSettings = (settings: Settings): ReadonlyArray<Check> => [
  {
    name: "settings",
    level: "ok",
    message: `runtime ${settings.runtime}; from the environment, then ${fileOf(settings)}`,
    remedy: null,
  },
  {
    name: "time zone",
    level: "ok",
    message: `${settings.zone}, where it is ${new Intl.DateTimeFormat("en-GB", { timeZone: settings.zone, dateStyle: "medium", timeStyle: "long" }).format(Date.now())}`,
    remedy: null,
  },
]

const MARKS = { ok: "ok", warning: "WARN", failure: "FAIL" } as const

export const doctorCommand = Command.make("doctor", { runtime: runtimeFlag, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const dataDir = yield* dataDirectory
    const loaded = yield* loadSettings({ env: process.env, dataDir: yield* dataOption }).pipe(
      Effect.map((settings) => ({
        ...settings,
        runtime: Option.getOrElse(input.runtime, () => settings.runtime),
      })),
      Effect.result,
    )
    const checks: Array<Check> = []
    if (loaded._tag === "Success") checks.push(...checkSettings(loaded.success))
    else
      checks.push({
        name: "settings",
        level: "failure",
        message: loaded.failure.message,
        remedy: "correct what is named; docs/configuration.md describes every setting",
      })
    const directory = yield* Effect.promise(() => checkDataDirectory(dataDir))
    checks.push(directory)
    if (directory.level !== "failure") {
      checks.push(
        yield* Effect.promise(() =>
          nearestFolder(dataDir).then((folder) => checkLocks(folder, process.execPath)),
        ),
      )
      checks.push(yield* Effect.promise(() => checkDisk(dataDir)))
    }
    if (loaded._tag === "Success" && loaded.success.runtime === "docker") {
      const settings = loaded.success
      const { base, build, agent } = builderOptions(settings, "" as never)
      checks.push(
        ...(yield* Effect.promise(() =>
          checkEngine(engineOptions(settings), { agent, base, build, strict: settings.docker.strictRuntime }),
        )),
      )
    }
    yield* show(input.json, checks, () =>
      checks.flatMap(({ level, message, name, remedy }) => [
        `${MARKS[level].padEnd(4)}  ${name}: ${message}`,
        ...(remedy === null ? [] : [`      remedy: ${remedy}`]),
      ]),
    )
    const failures = checks.filter(({ level }) => level === "failure")
    if (failures.length > 0)
      return yield* new CommandError({
        message: `${failures.map(({ name }) => name).join(", ")}: the daemon can't work like this`,
      })
  }),
).pipe(Command.withDescription("Check whether this host can run the daemon, and say what would help"))
