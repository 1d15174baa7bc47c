/** Reads settings from the environment and the file, and notes what does not do instead of stopping at the first. */
import { badValue, type ConfigurationIssue, issueOf } from "./ConfigurationError.ts"
import { isObject, type JsonObject, kindOf } from "./ConfigurationFile.ts"
import type { Environment } from "./Location.ts"
import { environmentName, keyOf, type Setting } from "./Setting.ts"

export type SettingReader = ReturnType<typeof makeReader>

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
}) => {
  /** The value is there and does not do. */
  const refuse = (setting: Setting<unknown>, value: string | null, expected: string, hint = "") => {
    const variable = environmentName(setting.path)
    const source = from.env[variable] ? variable : from.file
    from.issues.push(badValue({ key: keyOf(setting), source, value, expected }, hint))
  }

  /** What is given; undefined: nothing, or nothing that does. */
  const given = <A>(setting: Setting<A>): A | undefined => {
    const inFile = setting.path.reduce<unknown>(
      (at, name) => (isObject(at) ? at[name] : undefined),
      from.root,
    )
    const text =
      from.env[environmentName(setting.path)] || (inFile === undefined ? null : textOf(setting, inFile))
    if (text === null) {
      if (setting.fallback === null) from.issues.push(missing(setting))
      return undefined
    }
    if (text === undefined) {
      const expected = setting.expected + (setting.shape === "list" ? ", as an array of texts" : "")
      refuse(setting, shownJson(setting, inFile), expected)
      return undefined
    }
    const parsed = setting.parse(text)
    if (parsed === undefined) {
      const shown = typeof text === "string" ? text : JSON.stringify(text)
      refuse(setting, setting.show(shown), setting.expected, setting.hint(shown))
    }
    return parsed
  }

  /** The setting's value; after an issue was noted, a stand-in that nobody will use. */
  const read = <A>(setting: Setting<A>): A => {
    const found = given(setting)
    return found === undefined && setting.fallback !== null ? setting.fallback() : (found as A)
  }

  return {
    ...from,
    refuse,
    read,
    readAll: <T extends object>(settings: { readonly [K in keyof T]: Setting<T[K]> }) => {
      const values: Partial<T> = {}
      for (const name in settings) values[name] = read(settings[name])
      return values as T
    },
  }
}

const missing = (setting: Setting<unknown>): ConfigurationIssue => {
  const { expected, path } = setting
  const message = `${keyOf(setting)} is missing: set it in the file or as ${environmentName(path)} to ${expected}`
  return issueOf(keyOf(setting), null, expected, message)
}
