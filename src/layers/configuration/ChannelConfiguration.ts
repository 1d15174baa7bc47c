/**
 * The channels of a configuration: any number, each with a name and the fields of its type, from the file and from variables
 * such as `LAMPLIGHTER_CHANNELS_MY_HOOK_SECRET`.
 */
import type { Redacted } from "effect"
import { isAbsolute, relative, resolve } from "node:path"
import type { ChannelSettings } from "../channels/ChannelRegistry.ts"
import { badValue, type ConfigurationIssue } from "./ConfigurationError.ts"
import { isObject, type JsonObject } from "./ConfigurationFile.ts"
import { type Environment, expandHome } from "./Location.ts"
import { environmentName, keyOf } from "./Setting.ts"
import type { SettingReader } from "./SettingReader.ts"
import * as Catalogue from "./SettingsCatalogue.ts"

/** `LAMPLIGHTER_CHANNELS_MY_HOOK_TIMEOUT_MS` speaks of the field `timeoutMs` of the channel `my-hook`. */
export const channelOfVariable = (
  variable: string,
): { readonly name: string; readonly field: Catalogue.ChannelField } | undefined => {
  const prefix = "LAMPLIGHTER_CHANNELS_"
  if (!variable.startsWith(prefix)) return undefined
  const rest = variable.slice(prefix.length)
  for (const field of Object.keys(Catalogue.channelSettings("x")) as Array<Catalogue.ChannelField>) {
    const suffix = environmentName(["x", field]).slice(environmentName(["x"]).length)
    if (rest.length <= suffix.length || !rest.endsWith(suffix)) continue
    const name = rest.slice(0, -suffix.length).toLowerCase().replaceAll("_", "-")
    if (Catalogue.channelNamePattern.test(name)) return { name, field }
  }
  return undefined
}

interface ChannelSources {
  readonly dataDir: string
  readonly home: string
  readonly env: Environment
  readonly root: JsonObject
  readonly issues: Array<ConfigurationIssue>
}

export const readChannels = (reader: SettingReader, from: ChannelSources) => {
  const inFile = from.root["channels"]
  const names = new Set(
    isObject(inFile)
      ? Object.keys(inFile).filter(
          (name) => Catalogue.channelNamePattern.test(name) && isObject(inFile[name]),
        )
      : [],
  )
  for (const [variable, value] of Object.entries(from.env)) {
    const found = value ? channelOfVariable(variable) : undefined
    if (found !== undefined) names.add(found.name)
  }
  const channels: Record<string, ChannelSettings> = { stdout: { type: "stdout" } }
  for (const name of [...names].sort()) {
    const channel = readChannel(reader, from, name)
    if (channel !== undefined) channels[name] = channel
  }
  from.issues.push(...sharedFiles(channels))
  return channels
}

const readChannel = (
  reader: SettingReader,
  from: ChannelSources,
  name: string,
): ChannelSettings | undefined => {
  const settings = Catalogue.channelSettings(name)
  const type: Catalogue.ChannelType | undefined = reader.read(settings.type)
  if (type === undefined) return undefined
  for (const variable of Object.keys(from.env)) {
    const found = from.env[variable] ? channelOfVariable(variable) : undefined
    if (found?.name !== name || Catalogue.channelFields[type].includes(found.field)) continue
    from.issues.push({
      key: `channels.${name}.${found.field}`,
      source: variable,
      value: null,
      expected: `one of ${Catalogue.channelFields[type].join(", ")}`,
      message: `${variable} is set, but channel ${name} is of type ${type}, which has no ${found.field}: unset it`,
    })
  }
  if (name === "stdout" && type !== "stdout") {
    const path = settings.type.path
    from.issues.push(
      badValue({
        key: keyOf(settings.type),
        source: reader.sourceOf(path),
        value: `"${type}"`,
        expected: '"stdout"',
      }),
    )
  }
  switch (type) {
    case "stdout":
      return { type }
    case "file": {
      const given: string | undefined = reader.read(settings.path)
      const maxBytes = reader.read(settings.maxBytes)
      if (given === undefined) return undefined
      const path = resolve(from.dataDir, expandHome(given, from.home))
      if (isDaemonsOwn(from.dataDir, path)) {
        from.issues.push(
          badValue({
            key: keyOf(settings.path),
            source: reader.sourceOf(settings.path.path),
            value: JSON.stringify(given),
            expected: `a path outside the daemon's own files and folders in ${from.dataDir}`,
          }),
        )
      }
      return { type, path, maxBytes }
    }
    case "webhook": {
      const url: string | undefined = reader.read(settings.url)
      const secret: Redacted.Redacted | undefined = reader.read(settings.secret)
      const timeoutMs = reader.read(settings.timeoutMs)
      return url === undefined || secret === undefined ? undefined : { type, url, secret, timeoutMs }
    }
  }
}

/**
 * Appending to the ledger would destroy it; and agents write in group and session folders, where a link of theirs would lead
 * the daemon's writes anywhere.
 */
const isDaemonsOwn = (dataDir: string, path: string): boolean => {
  const inside = relative(dataDir, path)
  if (inside === "") return true
  if (isAbsolute(inside)) return false
  const first = inside.split("/")[0] ?? ""
  if (["groups", "logs", "processes", "run", "runs", "sessions", "skills", "state", "tmp"].includes(first))
    return true
  return first === inside && /^(?:lamplighter\.(?:db.*|json)|daemon\..*)$/.test(first)
}

const sharedFiles = (
  channels: Readonly<Record<string, ChannelSettings>>,
): ReadonlyArray<ConfigurationIssue> => {
  const issues: Array<ConfigurationIssue> = []
  const writers = new Map<string, string>()
  for (const [name, channel] of Object.entries(channels)) {
    if (channel.type !== "file") continue
    const other = writers.get(channel.path)
    writers.set(channel.path, name)
    if (other === undefined) continue
    const expected = "a file that no other channel writes"
    issues.push({
      key: `channels.${name}.path`,
      source: null,
      value: JSON.stringify(channel.path),
      expected,
      message: `channels.${name}.path is ${JSON.stringify(channel.path)}, the file of channel ${other}: expected ${expected}`,
    })
  }
  return issues
}
