/**
 * The configuration file: one JSON object, with comments. Read bounded, and checked for its shape before any value is looked at: an unknown key
 * is refused with the nearest known one, and nothing that stands in the wrong form is taken for absent.
 */
import { type FileHandle, open } from "node:fs/promises"
import { Effect } from "effect"
import { badValue, type ConfigurationIssue } from "./ConfigurationError.ts"
import { withoutComments } from "./JsonComments.ts"
import { nearestName } from "../../domain/NearestName.ts"
import { keyOf, type Setting } from "./Setting.ts"
import {
  channelFields,
  channelNamePattern,
  channelSettings,
  channelTypes,
  expectedChannelName,
  staticSettings,
} from "./SettingsCatalogue.ts"

const MAX_FILE_BYTES = 1024 * 1024

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : isObject(value)
        ? "an object"
        : `a ${typeof value}`

/** How many characters of the text V8 shows before the one that it stumbled over. */
const SHOWN_BEFORE = 10

/** Where JSON goes wrong, without the text around it: it may be a secret. Empty when the parser does not tell. */
const placeOf = (text: string, error: unknown): string => {
  const message = error instanceof Error ? error.message : ""
  const place = /\(line \d+ column \d+\)/.exec(message)
  if (place !== null) return ` ${place[0]}`
  const snippet = /, \.\.\."(.*?)"(?:\.\.\.)? is not valid JSON$/s.exec(message)?.[1]
  if (snippet === undefined) return ""
  const at = text.indexOf(snippet)
  if (at < 0 || at !== text.lastIndexOf(snippet)) return ""
  return ` (line ${text.slice(0, at + SHOWN_BEFORE).split("\n").length})`
}

const fileIssue = (file: string, expected: string, message: string): ConfigurationIssue => ({
  key: "",
  source: file,
  value: null,
  expected,
  message,
})

const readBounded = async (handle: FileHandle): Promise<string | undefined> => {
  const stat = await handle.stat()
  if (!stat.isFile() || stat.size > MAX_FILE_BYTES) return undefined
  return handle.readFile("utf8")
}

/** The file's object. A missing file is an empty one if `absence` says so. */
export const readConfigurationFile = (
  file: string,
  absence: "allowed" | "refused",
): Effect.Effect<JsonObject, ConfigurationIssue> =>
  Effect.tryPromise({
    try: async () => {
      const handle = await open(file, "r")
      try {
        return await readBounded(handle)
      } finally {
        await handle.close()
      }
    },
    catch: (cause) => (cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)),
  }).pipe(
    Effect.catch((code) =>
      // ENOTDIR: the data directory is a file, which is told better by whoever makes the directory.
      (code === "ENOENT" || code === "ENOTDIR") && absence === "allowed"
        ? Effect.succeed("{}")
        : Effect.fail(
            fileIssue(
              file,
              "a file that the daemon can read",
              `the configuration file ${file} can't be read (${code}): create it, or correct LAMPLIGHTER_CONFIG`,
            ),
          ),
    ),
    Effect.flatMap((text) => parseFile(file, text)),
  )

const parseFile = (file: string, text: string | undefined): Effect.Effect<JsonObject, ConfigurationIssue> => {
  const expected = `a file of at most ${MAX_FILE_BYTES} bytes with one JSON object`
  if (text === undefined) {
    return Effect.fail(fileIssue(file, expected, `the configuration ${file} is not ${expected}`))
  }
  try {
    const parsed: unknown = JSON.parse(withoutComments(text.replace(/^\uFEFF/, "")))
    if (isObject(parsed)) return Effect.succeed(parsed)
    return Effect.fail(
      fileIssue(
        file,
        "one JSON object",
        `the configuration file ${file} holds ${kindOf(parsed)}: expected one JSON object`,
      ),
    )
  } catch (error) {
    return Effect.fail(
      fileIssue(
        file,
        "one JSON object",
        `the configuration file ${file} is not valid JSON${placeOf(text, error)}`,
      ),
    )
  }
}

type AnySetting = Setting<unknown>

const expectedJson = (setting: AnySetting): string =>
  setting.shape === "list" ? `${setting.expected}, as an array of texts` : setting.expected

const hasShape = (setting: AnySetting, value: unknown): boolean => {
  if (value === null) return setting.nullable
  if (setting.shape === "list")
    return Array.isArray(value) && value.every((element) => typeof element === "string")
  return typeof value === "string" || (setting.shape === "quantity" && typeof value === "number")
}

const shownJson = (setting: AnySetting, value: unknown): string | null => {
  if (setting.show("") === null) return null
  const json = JSON.stringify(value) ?? ""
  return json.length > 100 ? kindOf(value) : json
}

/** All that is wrong with the shape of the file's object. */
export const shapeIssues = (file: string, root: JsonObject): ReadonlyArray<ConfigurationIssue> => {
  const issues: Array<ConfigurationIssue> = []
  const byKey = new Map(staticSettings.map((setting) => [keyOf(setting), setting]))
  const topLevel = new Set([...staticSettings.map(({ path }) => path[0] ?? ""), "channels"])

  const unknownKey = (key: string, known: ReadonlyArray<string>) => {
    const name = key.slice(key.lastIndexOf(".") + 1)
    const prefix = key.slice(0, key.length - name.length)
    const sibling = nearestName(name, known)
    const elsewhere = staticSettings.find(({ path }) => path.at(-1)?.toLowerCase() === name.toLowerCase())
    const nearest =
      sibling !== undefined ? `${prefix}${sibling}` : elsewhere === undefined ? undefined : keyOf(elsewhere)
    const remedy = nearest === undefined ? `known here are ${known.join(", ")}` : `did you mean ${nearest}?`
    issues.push({
      key,
      source: file,
      value: null,
      expected: nearest ?? `one of ${known.join(", ")}`,
      message:
        key === "dataDir"
          ? `dataDir can't stand in ${file}: the file is found through it; set LAMPLIGHTER_DATA instead`
          : `${key} (in ${file}) is not a known key: ${remedy}`,
    })
  }

  const notAnObject = (key: string, value: unknown) =>
    issues.push(badValue({ key, source: file, value: kindOf(value), expected: "an object with its keys" }))

  const checkValue = (key: string, setting: AnySetting, value: unknown) => {
    if (hasShape(setting, value)) return
    issues.push(
      badValue({ key, source: file, value: shownJson(setting, value), expected: expectedJson(setting) }),
    )
  }

  const checkChannel = (name: string, value: unknown) => {
    const key = `channels.${name}`
    if (!channelNamePattern.test(name)) {
      const shown = JSON.stringify(name.slice(0, 100))
      issues.push(badValue({ key: "channels", source: file, value: shown, expected: expectedChannelName }))
      return
    }
    if (!isObject(value)) return notAnObject(key, value)
    const type = channelTypes.find((known) => known === value["type"])
    const settings = channelSettings(name)
    const known: ReadonlyArray<string> = type === undefined ? Object.keys(settings) : channelFields[type]
    for (const [field, fieldValue] of Object.entries(value)) {
      const setting = Object.entries(settings).find(([name]) => name === field)?.[1]
      if (setting === undefined || !known.includes(field)) unknownKey(`${key}.${field}`, known)
      else checkValue(`${key}.${field}`, setting, fieldValue)
    }
  }

  const checkSection = (prefix: string, section: JsonObject) => {
    const inside = staticSettings
      .map(keyOf)
      .filter((key) => key.startsWith(`${prefix}.`))
      .map((key) => key.slice(prefix.length + 1))
    for (const [name, value] of Object.entries(section)) {
      const key = `${prefix}.${name}`
      const setting = byKey.get(key)
      if (setting === undefined) unknownKey(key, inside)
      else checkValue(key, setting, value)
    }
  }

  for (const [key, value] of Object.entries(root)) {
    const setting = byKey.get(key)
    if (setting !== undefined) checkValue(key, setting, value)
    else if (!topLevel.has(key)) unknownKey(key, [...topLevel])
    else if (!isObject(value)) notAnObject(key, value)
    else if (key !== "channels") checkSection(key, value)
    else for (const [name, channel] of Object.entries(value)) checkChannel(name, channel)
  }
  return issues
}
