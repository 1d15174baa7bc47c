/** Reads settings from the environment and the file, and notes what does not do instead of stopping at the first. */
import { Result } from "effect"
import { badValue, type ConfigurationIssue } from "./ConfigurationError.ts"
import { isObject, type JsonObject, kindOf } from "./ConfigurationFile.ts"
import { environmentName, keyOf, type Setting } from "./Setting.ts"

export type Environment = Readonly<Record<string, string | undefined>>

export interface SettingReader {
  /** The setting's value; after an issue was noted, a stand-in that nobody will use. */
  readonly read: <A>(setting: Setting<A>) => A
  readonly readAll: <T extends object>(settings: { readonly [K in keyof T]: Setting<T[K]> }) => T
  readonly sourceOf: (path: ReadonlyArray<string>) => string
}

/** What the file may hold there as a setting's text or list of texts; undefined when it has another shape. */
const textOf = (setting: Setting<unknown>, value: unknown): string | ReadonlyArray<string> | undefined => {
  if (value === null) return setting.nullable ? "none" : undefined
  if (setting.shape === "list") {
    return Array.isArray(value) && value.every((element) => typeof element === "string") ? value : undefined
  }
  if (typeof value === "number" && setting.shape === "quantity") return String(value)
  return typeof value === "string" ? value : undefined
}

/** A value of another shape as an error may show it. */
const shownJson = (setting: Setting<unknown>, value: unknown): string | null => {
  if (setting.show("") === null) return null
  const json = JSON.stringify(value)
  return json.length > 100 ? kindOf(value) : json
}

export const makeReader = (from: {
  readonly env: Environment
  readonly root: JsonObject
  readonly file: string
  readonly issues: Array<ConfigurationIssue>
}): SettingReader => {
  const sourceOf = (path: ReadonlyArray<string>) => {
    const variable = environmentName(path)
    return from.env[variable] ? variable : from.file
  }

  /** What is given; undefined: nothing. */
  const given = <A>(setting: Setting<A>): Result.Result<A | undefined, ConfigurationIssue> => {
    const source = sourceOf(setting.path)
    const inFile = source === from.file
    let value: unknown = from.env[source]
    if (inFile) {
      value = setting.path.reduce<unknown>((at, name) => (isObject(at) ? at[name] : undefined), from.root)
      if (value === undefined) return Result.succeed(undefined)
    }
    const issue = { key: keyOf(setting), source, expected: setting.expected }
    const text = inFile ? textOf(setting, value) : String(value)
    if (text === undefined) {
      const expected = setting.expected + (setting.shape === "list" ? ", as an array of texts" : "")
      return Result.fail(badValue({ ...issue, expected, value: shownJson(setting, value) }))
    }
    const shown = typeof text === "string" ? text : JSON.stringify(text)
    const parsed = setting.parse(text)
    return parsed === undefined
      ? Result.fail(badValue({ ...issue, value: setting.show(shown) }, setting.hint(shown)))
      : Result.succeed(parsed)
  }

  const read = <A>(setting: Setting<A>): A => {
    const found = given(setting)
    if (Result.isSuccess(found) && found.success !== undefined) return found.success
    if (Result.isFailure(found)) from.issues.push(found.failure)
    else if (setting.fallback === null) from.issues.push(missing(setting))
    return setting.fallback === null ? (undefined as A) : setting.fallback()
  }

  return {
    read,
    readAll: <T extends object>(settings: { readonly [K in keyof T]: Setting<T[K]> }) => {
      const values: Partial<T> = {}
      for (const name in settings) values[name] = read(settings[name])
      return values as T
    },
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
