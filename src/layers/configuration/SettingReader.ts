/** Reads settings from the environment and the file, and notes what does not do instead of stopping at the first. */
import { Config, ConfigProvider, Effect, Option } from "effect"
import { badValue, type ConfigurationIssue } from "./ConfigurationError.ts"
import type { JsonObject } from "./ConfigurationFile.ts"
import type { Environment } from "./Location.ts"
import { environmentName, keyOf, type Setting } from "./Setting.ts"
import { staticSettings } from "./SettingsCatalogue.ts"

export interface SettingReader {
  /** The setting's value; after an issue was noted, a stand-in that nobody will use. */
  readonly read: <A>(setting: Setting<A>) => Effect.Effect<A>
  readonly readAll: <T extends object>(settings: {
    readonly [K in keyof T]: Setting<T[K]>
  }) => Effect.Effect<T>
  readonly sourceOf: (path: ReadonlyArray<string>) => string
}

/** Null says "none" where a setting can be none; a provider would take it for absent. */
const withNone = (root: JsonObject): JsonObject => {
  const copy = structuredClone(root) as Record<string, unknown>
  for (const { nullable, path } of staticSettings) {
    const [section = "", field = ""] = path
    const inside = copy[section] as Record<string, unknown> | undefined | null
    if (nullable && typeof inside === "object" && inside?.[field] === null) inside[field] = "none"
  }
  return copy
}

export const makeReader = (from: {
  readonly env: Environment
  readonly root: JsonObject
  readonly file: string
  readonly issues: Array<ConfigurationIssue>
  readonly misshapen: ReadonlySet<string>
}): SettingReader => {
  const provider = ConfigProvider.fromEnvRecord(from.env).pipe(
    ConfigProvider.mapInput((path) => [environmentName(path)]),
    ConfigProvider.orElse(ConfigProvider.fromUnknown(withNone(from.root), { preserveEmptyStrings: true })),
  )
  const sourceOf = (path: ReadonlyArray<string>) => {
    const variable = environmentName(path)
    return from.env[variable] ? variable : from.file
  }

  /** What was given, as an error may show it. */
  const shownValue = (setting: Setting<unknown>): string | null => {
    const variable = from.env[environmentName(setting.path)]
    if (variable) return setting.show(variable)
    let value: unknown = from.root
    for (const name of setting.path) value = (value as JsonObject | undefined)?.[name]
    return setting.show(typeof value === "string" ? value : (JSON.stringify(value) ?? ""))
  }

  const read = <A>(setting: Setting<A>): Effect.Effect<A> => {
    const key = keyOf(setting)
    const standIn = setting.fallback === null ? (undefined as A) : setting.fallback()
    return Config.option(setting.config)
      .parse(provider)
      .pipe(
        Effect.map((value) => {
          if (Option.isSome(value)) return value.value
          if (setting.fallback === null && !from.misshapen.has(key)) from.issues.push(missing(setting))
          return standIn
        }),
        Effect.catch(() => {
          const issue = {
            key,
            source: sourceOf(setting.path),
            value: shownValue(setting),
            expected: setting.expected,
          }
          if (!from.misshapen.has(key)) from.issues.push(badValue(issue))
          return Effect.succeed(standIn)
        }),
      )
  }

  return {
    read,
    readAll: <T extends object>(settings: { readonly [K in keyof T]: Setting<T[K]> }) =>
      Effect.gen(function* () {
        const values: Partial<T> = {}
        for (const name of Object.keys(settings) as Array<keyof T>) values[name] = yield* read(settings[name])
        return values as T
      }),
    sourceOf,
  }
}

const missing = (setting: Setting<unknown>): ConfigurationIssue => ({
  key: keyOf(setting),
  source: null,
  value: null,
  expected: setting.expected,
  message: `${keyOf(setting)} is missing: set it in the file or as ${environmentName(setting.path)} to ${setting.expected}`,
})
