/**
 * The configuration file: one JSON object, with comments. Read bounded, and checked for its shape before any value is looked at: an unknown key
 * is refused with the nearest known one, and nothing that stands in the wrong form is taken for absent.
 */
import { open } from "node:fs/promises"
import { Effect, Result } from "effect"
import { badValue, type ConfigurationIssue, issueOf } from "./ConfigurationError.ts"
import { parseJson } from "../JsonText.ts"
import { nearestName } from "../../domain/NearestName.ts"
import { keyOf } from "./Setting.ts"
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

export const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : isObject(value)
        ? "an object"
        : `a ${typeof value}`

/** A string, or a comment. A string that does not end is left for the parser to place. */
const stringsAndComments = /"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[^]*?\*\//g

/** Comments become spaces, so that a parser's line and column stay those of the file. */
const withoutComments = (text: string): string =>
  text.replaceAll(stringsAndComments, (found) =>
    found.startsWith("/") ? found.replaceAll(/[^\n]/g, " ") : found,
  )

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

const readBounded = async (file: string): Promise<string | undefined> => {
  const handle = await open(file, "r")
  try {
    const stat = await handle.stat()
    return stat.isFile() && stat.size <= MAX_FILE_BYTES ? await handle.readFile("utf8") : undefined
  } finally {
    await handle.close()
  }
}

const parse = (text: string) =>
  Result.try({
    try: () => parseJson(withoutComments(text.replace(/^\uFEFF/, ""))),
    catch: (error) => placeOf(text, error),
  })

/** The file's object. A missing file is an empty one if `absence` says so. */
export const readConfigurationFile = Effect.fnUntraced(function* (
  file: string,
  absence: "allowed" | "refused",
) {
  const refuse = (expected: string, message: string) => Effect.fail(issueOf("", file, expected, message))
  const text = yield* Effect.tryPromise({
    try: () => readBounded(file),
    catch: (cause) => (cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)),
  }).pipe(
    Effect.catch((code) =>
      // ENOTDIR: the data directory is a file, which is told better by whoever makes the directory.
      (code === "ENOENT" || code === "ENOTDIR") && absence === "allowed"
        ? Effect.succeed("{}")
        : refuse(
            "a file that the daemon can read",
            `the configuration file ${file} can't be read (${code}): create it, or correct LAMPLIGHTER_CONFIG`,
          ),
    ),
  )
  const whole = `a file of at most ${MAX_FILE_BYTES} bytes with one JSON object`
  if (text === undefined) return yield* refuse(whole, `the configuration ${file} is not ${whole}`)
  const expected = "one JSON object"
  const parsed = parse(text)
  if (Result.isFailure(parsed))
    return yield* refuse(expected, `the configuration file ${file} is not valid JSON${parsed.failure}`)
  if (isObject(parsed.success)) return parsed.success
  return yield* refuse(
    expected,
    `the configuration file ${file} holds ${kindOf(parsed.success)}: expected ${expected}`,
  )
})

const notAnObject = (file: string, key: string, value: unknown): ConfigurationIssue =>
  badValue({ key, source: file, value: kindOf(value), expected: "an object with its keys" })

const unknownKey = (file: string, key: string, known: ReadonlyArray<string>): ConfigurationIssue => {
  const name = key.slice(key.lastIndexOf(".") + 1)
  const prefix = key.slice(0, key.length - name.length)
  const sibling = nearestName(name, known)
  const elsewhere = staticSettings.find(({ path }) => path.at(-1)?.toLowerCase() === name.toLowerCase())
  const nearest =
    sibling !== undefined ? `${prefix}${sibling}` : elsewhere === undefined ? undefined : keyOf(elsewhere)
  const remedy = nearest === undefined ? `known here are ${known.join(", ")}` : `did you mean ${nearest}?`
  const message =
    key === "dataDir"
      ? `dataDir can't stand in ${file}: the file is found through it; set LAMPLIGHTER_DATA instead`
      : `${key} (in ${file}) is not a known key: ${remedy}`
  return issueOf(key, file, nearest ?? `one of ${known.join(", ")}`, message)
}

/** An object with keys that are not known here, or something else in its place. */
const sectionIssues = (file: string, key: string, value: unknown, known: ReadonlyArray<string>) =>
  isObject(value)
    ? Object.keys(value)
        .filter((name) => !known.includes(name))
        .map((name) => unknownKey(file, `${key}.${name}`, known))
    : [notAnObject(file, key, value)]

const channelIssues = (file: string, name: string, value: unknown) => {
  if (!channelNamePattern.test(name)) {
    const shown = JSON.stringify(name.slice(0, 100))
    return [badValue({ key: "channels", source: file, value: shown, expected: expectedChannelName })]
  }
  const type = isObject(value) ? channelTypes.find((known) => known === value["type"]) : undefined
  const known = type === undefined ? Object.keys(channelSettings(name)) : channelFields[type]
  return sectionIssues(file, `channels.${name}`, value, known)
}

/** All that is wrong with the file's structure: keys that nothing reads, and what is no object where one belongs. */
export const structureIssues = (file: string, root: JsonObject): ReadonlyArray<ConfigurationIssue> => {
  const topLevel = new Set([...staticSettings.map(({ path }) => path[0] ?? ""), "channels"])
  const inside = (section: string) =>
    staticSettings.flatMap(({ path }) => (path[0] === section && path[1] !== undefined ? [path[1]] : []))
  return Object.entries(root).flatMap(([key, value]) => {
    if (!topLevel.has(key)) return [unknownKey(file, key, [...topLevel])]
    if (key === "channels") {
      return isObject(value)
        ? Object.entries(value).flatMap(([name, channel]) => channelIssues(file, name, channel))
        : [notAnObject(file, key, value)]
    }
    const known = inside(key)
    return known.length === 0 ? [] : sectionIssues(file, key, value, known)
  })
}
