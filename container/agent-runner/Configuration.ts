/**
 * What the runner is told at its start: paths and limits from the environment, everything about the agent from container.json.
 * Anything wrong is one `ConfigurationError` that names the field and the remedy; unknown fields are for other runners.
 */
import { existsSync, readFileSync } from "node:fs"
import { wallClock } from "./ExchangeTime.ts"
import { parseJson } from "./JsonText.ts"
import { messageOf } from "./Log.ts"

export interface Configuration {
  readonly inboundPath: string
  readonly outboundPath: string
  readonly heartbeatPath: string
  /** Where commands and scripts run. */
  readonly workdir: string
  /** The longest pause between two looks at an idle inbox. */
  readonly pollMs: number
  /** After SIGTERM: how long the turn at hand may still take. */
  readonly stopMs: number
  /** How long a write to outbound.db is tried again before the runner gives up. */
  readonly writeLimitMs: number
  readonly provider: (typeof PROVIDERS)[number]
  /** Never empty when `provider` is `command`. */
  readonly command: ReadonlyArray<string>
  readonly providerTimeoutMs: number | null
  readonly assistantName: string
  readonly maxMessagesPerPrompt: number
  /** IANA name of the zone in which the agent sees times. */
  readonly zone: string
}

export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError"
}

/** The host names the same ones, in `ProviderRegistry.ts`. */
export const PROVIDERS = ["echo", "command"] as const
const MAX_CONTAINER_JSON_BYTES = 1024 * 1024
const MAX_TIMER_MS = 2 ** 31 - 1

type Environment = Readonly<Record<string, string | undefined>>

export const readConfiguration = (environment: Environment): Configuration => {
  const path = environment["LAMPLIGHTER_CONTAINER_JSON"] || "/workspace/agent/container.json"
  const fields = readObject(path)
  const bad = (field: string, expected: string): ConfigurationError =>
    new ConfigurationError(
      `${path}: '${field}' is ${JSON.stringify(fields[field]) ?? "missing"}; expected ${expected}`,
    )
  const text = (field: string, fallback: string): string => {
    const value = fields[field] ?? fallback
    if (typeof value !== "string" || value === "") throw bad(field, "a text that is not empty")
    return value
  }
  const provider = PROVIDERS.find((name) => name === fields["provider"])
  if (provider === undefined) {
    throw bad("provider", `one of the providers of this runner: ${PROVIDERS.join(", ")}`)
  }
  const command = fields["command"] ?? []
  if (!Array.isArray(command) || !command.every((part) => typeof part === "string" && !part.includes("\0"))) {
    throw bad("command", "null or a list of texts without NUL characters: the program and its arguments")
  }
  if (provider === "command" && (command.length === 0 || command[0] === "")) {
    throw bad("command", "the program and its arguments, because 'provider' is 'command'")
  }
  const providerTimeoutMs = fields["providerTimeoutMs"] ?? null
  if (providerTimeoutMs !== null && !isCount(providerTimeoutMs, MAX_TIMER_MS)) {
    throw bad("providerTimeoutMs", `null or whole milliseconds from 1 to ${MAX_TIMER_MS}`)
  }
  const maxMessagesPerPrompt = fields["maxMessagesPerPrompt"] ?? 10
  if (!isCount(maxMessagesPerPrompt, 1_000)) {
    throw bad("maxMessagesPerPrompt", "a whole number from 1 to 1000")
  }
  const zone = text("zone", "UTC")
  try {
    wallClock(zone)
  } catch {
    throw bad("zone", "an IANA time zone such as Europe/Paris")
  }
  return {
    inboundPath: environment["SESSION_INBOUND_DB_PATH"] || "/workspace/inbound.db",
    outboundPath: environment["SESSION_OUTBOUND_DB_PATH"] || "/workspace/outbound.db",
    heartbeatPath: environment["SESSION_HEARTBEAT_PATH"] || "/workspace/.heartbeat",
    workdir: workdirOf(environment),
    pollMs: milliseconds(environment, "LAMPLIGHTER_POLL_MS", 500),
    stopMs: milliseconds(environment, "LAMPLIGHTER_STOP_MS", 8_000),
    writeLimitMs: milliseconds(environment, "LAMPLIGHTER_WRITE_LIMIT_MS", 30_000),
    provider,
    command,
    providerTimeoutMs,
    assistantName: text("assistantName", "Assistant"),
    maxMessagesPerPrompt,
    zone,
  }
}

const readObject = (path: string): Readonly<Record<string, unknown>> => {
  let source: string
  try {
    source = readFileSync(path, "utf8")
  } catch (error) {
    throw new ConfigurationError(
      `can't read ${path}: ${messageOf(error)}; the host writes it, LAMPLIGHTER_CONTAINER_JSON names another path`,
    )
  }
  if (source.length > MAX_CONTAINER_JSON_BYTES) {
    throw new ConfigurationError(`${path} is longer than ${MAX_CONTAINER_JSON_BYTES} characters`)
  }
  let parsed: unknown
  try {
    parsed = parseJson(source)
  } catch (error) {
    throw new ConfigurationError(`${path} is not JSON: ${messageOf(error)}`)
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new ConfigurationError(`${path} must hold one JSON object`)
  }
  return parsed as Readonly<Record<string, unknown>>
}

const isCount = (value: unknown, maximum: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= maximum

const milliseconds = (environment: Environment, name: string, fallback: number): number => {
  const text = environment[name]
  if (text === undefined || text === "") return fallback
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (isCount(value, MAX_TIMER_MS)) return value
  throw new ConfigurationError(`${name} is '${text}'; expected whole milliseconds from 1 to ${MAX_TIMER_MS}`)
}

const workdirOf = (environment: Environment): string => {
  const named = environment["LAMPLIGHTER_WORKDIR"]
  if (named === undefined || named === "")
    return existsSync("/workspace/agent") ? "/workspace/agent" : process.cwd()
  if (!existsSync(named))
    throw new ConfigurationError(`LAMPLIGHTER_WORKDIR is '${named}', which does not exist`)
  return named
}
