/**
 * The channels of a configuration: any number, each with a name and the fields of its type, from the file and from variables
 * such as `LAMPLIGHTER_CHANNELS_MY_HOOK_SECRET`.
 */
import type { Redacted } from "effect"
import { isAbsolute, relative, resolve } from "node:path"
import type { ChannelSettings } from "../channels/ChannelRegistry.ts"
import { type ConfigurationIssue, issueOf } from "./ConfigurationError.ts"
import { isObject } from "./ConfigurationFile.ts"
import { expandHome } from "./Location.ts"
import { environmentName } from "./Setting.ts"
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

interface Place {
  readonly dataDir: string
  readonly home: string
}

export const readChannels = (reader: SettingReader, place: Place) => {
  const { env, issues, root } = reader
  const inFile = Object.entries(isObject(root["channels"]) ? root["channels"] : {}).flatMap(([name, value]) =>
    Catalogue.channelNamePattern.test(name) && isObject(value) ? [name] : [],
  )
  const variables = Object.keys(env).flatMap((variable) => {
    const found = env[variable] ? channelOfVariable(variable) : undefined
    return found === undefined ? [] : [{ variable, ...found }]
  })
  const channels: Record<string, ChannelSettings> = { stdout: { type: "stdout" } }
  for (const name of [...new Set([...inFile, ...variables.map(({ name }) => name)])].sort()) {
    const settings = Catalogue.channelSettings(name)
    const type: Catalogue.ChannelType | undefined = reader.read(settings.type)
    if (type === undefined) continue
    const known = Catalogue.channelFields[type]
    for (const { field, name: of, variable } of variables)
      if (of === name && !known.includes(field))
        issues.push(
          issueOf(
            `channels.${name}.${field}`,
            variable,
            `one of ${known.join(", ")}`,
            `${variable} is set, but channel ${name} is of type ${type}, which has no ${field}: unset it`,
          ),
        )
    if (name === "stdout" && type !== "stdout") reader.refuse(settings.type, `"${type}"`, '"stdout"')
    const channel = readChannel(reader, place, settings, type)
    if (channel !== undefined) channels[name] = channel
  }
  issues.push(...sharedFiles(channels))
  return channels
}

const readChannel = (
  reader: SettingReader,
  { dataDir, home }: Place,
  settings: ReturnType<typeof Catalogue.channelSettings>,
  type: Catalogue.ChannelType,
): ChannelSettings | undefined => {
  switch (type) {
    case "stdout":
      return { type }
    case "file": {
      const given: string | undefined = reader.read(settings.path)
      const maxBytes = reader.read(settings.maxBytes)
      if (given === undefined) return undefined
      const path = resolve(dataDir, expandHome(given, home))
      const expected = `a path outside the daemon's own files and folders in ${dataDir}`
      if (isDaemonsOwn(dataDir, path)) reader.refuse(settings.path, JSON.stringify(given), expected)
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

const sharedFiles = (channels: Readonly<Record<string, ChannelSettings>>) => {
  const files = Object.entries(channels).flatMap(([name, channel]) =>
    channel.type === "file" ? [{ name, path: channel.path }] : [],
  )
  return files.flatMap(({ name, path }, index): ReadonlyArray<ConfigurationIssue> => {
    const other = files.slice(0, index).findLast((before) => before.path === path)
    if (other === undefined) return []
    const key = `channels.${name}.path`
    const value = JSON.stringify(path)
    const expected = "a file that no other channel writes"
    const message = `${key} is ${value}, the file of channel ${other.name}: expected ${expected}`
    return [{ key, source: null, value, expected, message }]
  })
}
