/**
 * Every setting there is. The types make this list complete: a field of `Policy` or `HostLimits` without an entry does not
 * compile. docs/configuration.md is compared with it by a test.
 */
import { Redacted, Result, Schema } from "effect"
import { DAY_MS, HOUR_MS, Millis, MINUTE_MS, SECOND_MS } from "../../domain/Instant.ts"
import {
  defaultHostLimits,
  defaultPolicy,
  HostLimits,
  type HostLimits as HostLimitsType,
  Policy,
  type Policy as PolicyType,
} from "../../domain/Policy.ts"
import { DEFAULT_FILE_MAX_BYTES } from "../channels/FileChannel.ts"
import { DEFAULT_WEBHOOK_TIMEOUT_MS, expectedUrl, webhookUrl } from "../channels/WebhookChannel.ts"
import { expectedSecret, signingKey } from "../channels/WebhookSignature.ts"
import { defaultSandbox, Sandbox } from "../../domain/ContainerSpec.ts"
import {
  bytes,
  decimal,
  duration,
  integer,
  list,
  oneOf,
  optionalDuration,
  secret,
  type Setting,
  text,
} from "./Setting.ts"
import { isImageName, expectedImageName } from "../../domain/ImagePlan.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** An IANA name (or alias) that this Node knows; offsets such as `+02:00` are no zones: they have no summer time. */
export const isZone = (name: string): boolean => {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name)) return false
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== ""
  } catch {
    return false
  }
}

const hostZone = (): string => {
  const zone = new Intl.DateTimeFormat("en").resolvedOptions().timeZone
  return isZone(zone) ? zone : "UTC"
}

const isUserId = (id: string): boolean => id.length >= 1 && id.length <= 200 && !/\p{Cc}/u.test(id)

const userIds = (key: string, meaning: string) =>
  list({
    path: [key],
    meaning,
    accepts: isUserId,
    expected: "a list of user ids of 1 to 200 characters",
  })

/** The values that stand by themselves. */
export const settings = {
  runtime: oneOf(
    {
      path: ["runtime"],
      fallback: "process",
      meaning:
        "What runs the agents: child processes without any isolation, or hardened containers of a Docker engine.",
    },
    ["process", "docker"],
  ),
  zone: text({
    path: ["zone"],
    fallback: null,
    fallbackNow: hostZone,
    fallbackText: "the host's zone",
    accepts: isZone,
    expected: "an IANA time zone such as Europe/Paris",
    meaning:
      "The zone in which cron schedules are read and times are shown to agents, unless a group has its own.",
  }),
  sweepIntervalMs: duration(
    {
      path: ["sweepIntervalMs"],
      fallback: MINUTE_MS,
      meaning: "How often everything is looked at, as a safety net.",
    },
    between(100, DAY_MS),
  ),
  pollIntervalMs: duration(
    {
      path: ["pollIntervalMs"],
      fallback: SECOND_MS,
      meaning: "How often the output of running agents is looked at when they do not ring the doorbell.",
    },
    between(10, HOUR_MS),
  ),
  owners: userIds("owners", "Users who may use every command everywhere."),
  globalAdmins: userIds("globalAdmins", "Users who may use admin commands in every group."),
  keepZeroExitLogs: oneOf(
    {
      path: ["keepZeroExitLogs"],
      fallback: "discard",
      meaning: "Whether exits with code 0 leave a log too. Other exits always do.",
    },
    ["keep", "discard"],
  ),
  maxLogBytes: bytes(
    {
      path: ["maxLogBytes"],
      fallback: 1024 ** 2,
      meaning: "How much of an agent's stdout, and of its stderr, is kept.",
    },
    between(1024, 1024 ** 3),
  ),
}

export const exitLogRetention = {
  count: integer(
    { path: ["exitLogRetention", "count"], fallback: 1_000, meaning: "How many exit logs are kept." },
    between(0, 1_000_000),
  ),
  ageMs: duration(
    { path: ["exitLogRetention", "ageMs"], fallback: 30 * DAY_MS, meaning: "How long exit logs are kept." },
    Millis,
  ),
}

const imageText = (key: string, fallback: string, meaning: string) =>
  text({
    path: ["docker", key],
    fallback,
    accepts: isImageName,
    expected: expectedImageName,
    meaning,
  })

const folders = (key: string, meaning: string) =>
  list({
    path: ["docker", key],
    meaning,
    accepts: (value) => /^\/[^\0]{0,4000}$/.test(value),
    expected: "a list of absolute paths of folders",
  })

/** The engine, and where images come from. */
export const docker = {
  image: imageText(
    "image",
    "lamplighter-agent:latest",
    "The image of groups that name none. Built from container/Dockerfile when the engine lacks it.",
  ),
  baseImage: imageText("baseImage", "node:24-bookworm-slim", "What container/Dockerfile starts from."),
  build: oneOf(
    {
      path: ["docker", "build"],
      fallback: "missing",
      meaning: "Whether the daemon builds `docker.image` when the engine lacks it.",
    },
    ["missing", "never"],
  ),
  buildTimeoutMs: duration(
    {
      path: ["docker", "buildTimeoutMs"],
      fallback: 10 * MINUTE_MS,
      meaning: "A build that takes longer is given up.",
    },
    between(SECOND_MS, DAY_MS),
  ),
  buildNetwork: text({
    path: ["docker", "buildNetwork"],
    fallback: "default",
    accepts: (value) => /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value),
    expected: '"default", "host", "none" or the name of a network of the engine',
    meaning: "The network of builds that install a group's packages. The agent image needs none.",
  }),
  readableMounts: folders(
    "readableMounts",
    "The allowlist of folders, with all below them, that groups may mount read-only.",
  ),
  writableMounts: folders(
    "writableMounts",
    "The allowlist of folders, with all below them, that groups may mount read-write too.",
  ),
  skillsDir: text({
    path: ["docker", "skillsDir"],
    fallback: "",
    fallbackText: "none",
    accepts: (value) => /^\/[^\0]{1,4000}$/.test(value),
    expected: "the absolute path of a folder",
    meaning: "Skills that groups share, a folder each: read-only at /app/skills.",
  }),
  strictRuntime: oneOf(
    {
      path: ["docker", "strictRuntime"],
      fallback: "warn",
      meaning: "Whether the daemon refuses to start on an engine whose runc has known escapes, or warns.",
    },
    ["warn", "refuse"],
  ),
  socket: text({
    path: ["docker", "socket"],
    fallback: "",
    fallbackText: "DOCKER_HOST, then the engine's usual socket",
    accepts: (value) => /^\/[^\0]{1,4000}$/.test(value),
    expected: "the absolute path of a unix socket",
    meaning: "Where the engine listens.",
  }),
  callTimeoutMs: duration(
    {
      path: ["docker", "callTimeoutMs"],
      fallback: 10 * SECOND_MS,
      meaning: "How long the engine may take to answer a question or pass on a signal.",
    },
    between(100, HOUR_MS),
  ),
  changeTimeoutMs: duration(
    {
      path: ["docker", "changeTimeoutMs"],
      fallback: MINUTE_MS,
      meaning: "How long the engine may take to create, start or remove a container.",
    },
    between(100, HOUR_MS),
  ),
}

/** The sandbox of every container, unless its group says otherwise. */
export const sandbox = {
  memoryBytes: bytes(
    {
      path: ["docker", "memoryBytes"],
      fallback: defaultSandbox.memoryBytes,
      meaning: "Memory and swap of one container together.",
    },
    Sandbox.fields.memoryBytes,
  ),
  cpus: decimal(
    { path: ["docker", "cpus"], fallback: defaultSandbox.cpus, meaning: "Processors of one container." },
    Sandbox.fields.cpus,
  ),
  pids: integer(
    {
      path: ["docker", "pids"],
      fallback: defaultSandbox.pids,
      meaning: "Processes and threads of one container.",
    },
    Sandbox.fields.pids,
  ),
  openFiles: integer(
    {
      path: ["docker", "openFiles"],
      fallback: defaultSandbox.openFiles,
      meaning: "Files that one process may have open.",
    },
    Sandbox.fields.openFiles,
  ),
  maxFileBytes: bytes(
    {
      path: ["docker", "maxFileBytes"],
      fallback: defaultSandbox.maxFileBytes,
      meaning: "The largest file that a process may write.",
    },
    Sandbox.fields.maxFileBytes,
  ),
  temporaryBytes: bytes(
    {
      path: ["docker", "temporaryBytes"],
      fallback: defaultSandbox.temporaryBytes,
      meaning: "Size of /tmp, which is in memory.",
    },
    Sandbox.fields.temporaryBytes,
  ),
  homeBytes: bytes(
    {
      path: ["docker", "homeBytes"],
      fallback: defaultSandbox.homeBytes,
      meaning: "Size of /home/node, which is in memory.",
    },
    Sandbox.fields.homeBytes,
  ),
  network: text({
    path: ["docker", "network"],
    fallback: defaultSandbox.network,
    accepts: (value) => /^(?!host$)[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value),
    expected: '"none", or the name of a network of the engine; "host" is refused',
    meaning: "The network of the containers. An agent that calls a model needs one.",
  }),
  rootFilesystem: oneOf(
    {
      path: ["docker", "rootFilesystem"],
      fallback: defaultSandbox.rootFilesystem,
      meaning: "Whether agents may write into their image's files, in a layer that goes with the container.",
    },
    ["read-only", "writable"],
  ),
}

const environmentVariable = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/
const providerName = /^[a-z][a-z0-9-]{0,31}$/

/** A proxy's URL, user and password allowed: they tell agents apart. */
const isProxyUrl = (value: string): boolean => {
  const text = value.replaceAll("{group}", "group")
  return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol)
}

/** Where agents' credentials come from. */
export const credentials = {
  kind: oneOf(
    {
      path: ["credentials", "kind"],
      fallback: "none",
      meaning:
        "Where agents' credentials come from: nowhere, the daemon's own environment, or a gateway that adds them on the way.",
    },
    ["none", "static", "gateway"],
  ),
  variables: list({
    path: ["credentials", "variables"],
    meaning: "Kind `static`: the variables of the daemon's environment that agents get.",
    accepts: (value) => environmentVariable.test(value),
    expected: "a list of names of environment variables",
  }),
  requiredBy: list({
    path: ["credentials", "requiredBy"],
    meaning: "Providers whose agents are not started without credentials.",
    accepts: (value) => providerName.test(value),
    expected: "a list of names of providers",
  }),
  gatewayUrl: {
    ...secret({
      path: ["credentials", "gatewayUrl"],
      accepts: (value) => isProxyUrl(Redacted.value(value)),
      expected: "an http or https URL, in which {group} stands for the group's id",
      meaning: "Kind `gateway`: the proxy, as containers reach it. Never shown.",
    }),
    fallback: () => Redacted.make(""),
    fallbackText: "none",
  },
  gatewayProbe: text({
    path: ["credentials", "gatewayProbe"],
    fallback: "",
    fallbackText: "host and port of the URL",
    accepts: (value) => /^[A-Za-z0-9.:[\]-]{1,253}:\d{1,5}$/.test(value),
    expected: "a host and a port, such as 127.0.0.1:10255",
    meaning: "Kind `gateway`: where the daemon itself reaches the proxy, to see whether it is there.",
  }),
  gatewayCertificate: text({
    path: ["credentials", "gatewayCertificate"],
    fallback: "",
    fallbackText: "none",
    accepts: (value) => /^\/[^\0]{1,4000}$/.test(value),
    expected: "the absolute path of a PEM file",
    meaning: "Kind `gateway`: the certificates that containers trust, when the proxy opens TLS.",
  }),
}

export const logLevels = ["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "None"] as const

export const log = {
  format: oneOf(
    {
      path: ["log", "format"],
      fallback: "auto",
      meaning: "How the daemon logs. `auto`: pretty on a terminal, JSON otherwise.",
    },
    ["auto", "pretty", "json"],
  ),
  level: oneOf(
    { path: ["log", "level"], fallback: "Info", meaning: "The least severe level that is logged." },
    logLevels,
  ),
}

type DurationField = Extract<keyof PolicyType, `${string}Ms`>
type PlainDurationField = Exclude<DurationField, "retryCapMs">
type CountField = Exclude<keyof PolicyType, DurationField | "retryJitter">

const policyDuration = (field: PlainDurationField, meaning: string) =>
  duration({ path: ["policy", field], fallback: defaultPolicy[field], meaning }, Policy.fields[field])
const policyCount = (field: CountField, meaning: string) =>
  integer({ path: ["policy", field], fallback: defaultPolicy[field], meaning }, Policy.fields[field])

/** Policy: each can be overridden per group. */
export const policy: { readonly [K in keyof PolicyType]: Setting<PolicyType[K]> } = {
  ceilingMs: policyDuration(
    "ceilingMs",
    "A heartbeat older than this kills the container, unless the tool in flight declared a longer timeout.",
  ),
  claimToleranceMs: policyDuration(
    "claimToleranceMs",
    "A claim older than this without a heartbeat after it kills.",
  ),
  startupLimitMs: policyDuration(
    "startupLimitMs",
    "A container with due work that shows no sign of life for this long after its spawn is killed.",
  ),
  declaredTimeoutCapMs: policyDuration(
    "declaredTimeoutCapMs",
    "The longest timeout that a tool can declare for itself.",
  ),
  idleMs: policyDuration("idleMs", "A container that did nothing for this long is stopped."),
  graceMs: policyDuration("graceMs", "Between SIGTERM and SIGKILL."),
  retryLimit: policyCount("retryLimit", "Retries after the first execution."),
  retryBaseMs: policyDuration("retryBaseMs", "Backoff before the first retry; it doubles with each."),
  retryCapMs: optionalDuration(
    { path: ["policy", "retryCapMs"], meaning: "The longest backoff before a retry." },
    Millis,
  ),
  retryJitter: decimal(
    {
      path: ["policy", "retryJitter"],
      fallback: defaultPolicy.retryJitter,
      meaning: "Share of the backoff that is added at random.",
    },
    Policy.fields.retryJitter,
  ),
  wakeBackoffBaseMs: policyDuration(
    "wakeBackoffBaseMs",
    "Backoff of a session whose container can't be started; it doubles with each failure.",
  ),
  wakeBackoffCapMs: policyDuration("wakeBackoffCapMs", "The longest backoff of such a session."),
  maxContainersPerGroup: policyCount("maxContainersPerGroup", "Live containers of one group."),
  maxMessagesPerPrompt: policyCount(
    "maxMessagesPerPrompt",
    "Messages that the runner may put into one prompt.",
  ),
  maxAdmitted: policyCount("maxAdmitted", "Messages shown to a container at once."),
  maxQueuedMessages: policyCount(
    "maxQueuedMessages",
    "Unfinished messages of one session; beyond, new ones are refused.",
  ),
  deliveryLimit: policyCount("deliveryLimit", "Attempts of one delivery before it is dead."),
  deliveryBaseMs: policyDuration(
    "deliveryBaseMs",
    "Backoff before the second attempt of a delivery; it doubles.",
  ),
  deliveryCapMs: policyDuration("deliveryCapMs", "The longest backoff of a delivery."),
  deliveryMaxAgeMs: policyDuration(
    "deliveryMaxAgeMs",
    "A delivery that is not taken this long after its first attempt is dead.",
  ),
  maxAgentHops: policyCount("maxAgentHops", "Messages between agents that may lead to each other."),
  maxAgentMessagesPerHour: policyCount(
    "maxAgentMessagesPerHour",
    "Messages that the agents of two groups may send each other within an hour.",
  ),
  contextRetentionMs: policyDuration(
    "contextRetentionMs",
    "Context rows that no container took expire after this.",
  ),
}

const limitCount = (field: keyof HostLimitsType, meaning: string) =>
  integer({ path: ["limits", field], fallback: defaultHostLimits[field], meaning }, HostLimits.fields[field])

/** Limits of the daemon as a whole. */
export const limits: { readonly [K in keyof HostLimitsType]: Setting<HostLimitsType[K]> } = {
  maxContainers: limitCount("maxContainers", "Live containers of all groups together."),
  maxStartsPerSecond: limitCount("maxStartsPerSecond", "Container starts per second."),
  maxPendingDeliveries: limitCount(
    "maxPendingDeliveries",
    "Pending deliveries of one channel; beyond, messages whose answers would go there are refused.",
  ),
  maxContentBytes: bytes(
    {
      path: ["limits", "maxContentBytes"],
      fallback: defaultHostLimits.maxContentBytes,
      meaning: "Size of one message's content.",
    },
    HostLimits.fields.maxContentBytes,
  ),
  historyRetentionMs: duration(
    {
      path: ["limits", "historyRetentionMs"],
      fallback: defaultHostLimits.historyRetentionMs,
      meaning: "How long finished messages, their attempts, runs and deliveries are kept.",
    },
    HostLimits.fields.historyRetentionMs,
  ),
  maxEvents: limitCount("maxEvents", "Rows of the event log."),
}

/** Without user, password, path and query: any of them may be a token. */
const showUrl = (value: string): string | null => {
  if (!URL.canParse(value)) return null
  const { origin, protocol } = new URL(value)
  return JSON.stringify(origin === "null" ? `${protocol}…` : `${origin}/…`)
}

export const channelTypes = ["stdout", "file", "webhook"] as const
export type ChannelType = (typeof channelTypes)[number]

/** The settings of the channel of this name, whatever its type. */
export const channelSettings = (name: string) => {
  const path = (field: string) => ["channels", name, field]
  return {
    type: oneOf({ path: path("type"), fallback: null, meaning: "What the channel is." }, channelTypes),
    path: text({
      path: path("path"),
      fallback: null,
      accepts: (value) => value !== "" && value.length <= 4_096 && !value.includes("\0"),
      expected: "a file's path; a relative one starts at the data directory",
      meaning:
        "Channels of type `file`: the file that JSON lines are appended to. A relative path starts at the data directory.",
    }),
    maxBytes: bytes(
      {
        path: path("maxBytes"),
        fallback: DEFAULT_FILE_MAX_BYTES,
        meaning:
          "Channels of type `file`: the size that the file may reach; then deliveries wait until it is moved away.",
      },
      between(1024, 1024 ** 4),
    ),
    url: text({
      path: path("url"),
      fallback: null,
      accepts: (value) => Result.isSuccess(webhookUrl(value)),
      expected: expectedUrl,
      show: showUrl,
      meaning: "Channels of type `webhook`: where deliveries are posted.",
    }),
    secret: secret({
      path: path("secret"),
      accepts: (value) => Result.isSuccess(signingKey(value)),
      expected: expectedSecret,
      meaning: "Channels of type `webhook`: the key of the signature. Never shown.",
    }),
    timeoutMs: duration(
      {
        path: path("timeoutMs"),
        fallback: DEFAULT_WEBHOOK_TIMEOUT_MS,
        meaning: "Channels of type `webhook`: how long one post may take.",
      },
      between(1, 10 * MINUTE_MS),
    ),
  }
}
export type ChannelField = keyof ReturnType<typeof channelSettings>

/** The fields that a channel of each type has. */
export const channelFields: { readonly [T in ChannelType]: ReadonlyArray<ChannelField> } = {
  stdout: ["type"],
  file: ["type", "path", "maxBytes"],
  webhook: ["type", "url", "secret", "timeoutMs"],
}

/** A channel's name is the `channelType` of its deliveries. No `_`, so that the environment's names can be read back. */
export const channelNamePattern = /^(?!agent$)[a-z][a-z0-9-]{0,31}$/
export const expectedChannelName =
  "a channel name: 1 to 32 of a-z, 0-9 and -, starting with a letter, and not 'agent'"

/** All settings but those of channels, in the manual's order. */
export const staticSettings: ReadonlyArray<Setting<unknown>> = [
  ...Object.values(settings),
  ...Object.values(exitLogRetention),
  ...Object.values(log),
  ...Object.values(docker),
  ...Object.values(sandbox),
  ...Object.values(credentials),
  ...Object.values(policy),
  ...Object.values(limits),
]
