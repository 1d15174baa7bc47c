/**
 * Every setting there is, declared once: its Schema, its default and its meaning. What decides by a number has its Schema, default and
 * meaning in the domain. docs/configuration.md is written from this list by `npm run docs`.
 */
import { Redacted, Result, Schema } from "effect"
import { Sandbox } from "../../domain/ContainerSpec.ts"
import { count } from "../../domain/Fields.ts"
import { ProviderConfig } from "../../domain/Group.ts"
import { expectedImageName, isImageName } from "../../domain/ImagePlan.ts"
import { DAY_MS, HOUR_MS, Millis, MINUTE_MS, SECOND_MS } from "../../domain/Instant.ts"
import { HostLimits, Policy } from "../../domain/Policy.ts"
import { parseZone } from "../../domain/Zone.ts"
import { DEFAULT_FILE_MAX_BYTES } from "../channels/FileChannel.ts"
import { DEFAULT_WEBHOOK_TIMEOUT_MS, expectedUrl, webhookUrl } from "../channels/WebhookChannel.ts"
import { expectedSecret, signingKey } from "../channels/WebhookSignature.ts"
import { secret, section, type Setting, setting, settingsOf, textThat } from "./Setting.ts"

const oneOf = Schema.Literals

const listOf = (what: string, accepts: (element: string) => boolean) =>
  Schema.Array(Schema.String.check(Schema.makeFilter(accepts))).annotate({ expected: `a list of ${what}` })

const userIds = listOf(
  "user ids of 1 to 200 characters",
  (id) => id.length >= 1 && id.length <= 200 && !/\p{Cc}/u.test(id),
)
const folders = listOf("absolute paths of folders", (path) => /^\/[^\0]{0,4000}$/.test(path))
const imageName = textThat(expectedImageName, isImageName)
const absolutePath = (what: string) =>
  textThat(`the absolute path of a ${what}`, (path) => /^\/[^\0]{1,4000}$/.test(path))

const zone = textThat("an IANA time zone such as Europe/Paris", (name) => Result.isSuccess(parseZone(name)))

const hostZone = (): string =>
  Result.getOrElse(parseZone(new Intl.DateTimeFormat("en").resolvedOptions().timeZone), () => "UTC")

/** The values that stand by themselves. */
export const settings = section([], {
  runtime: setting(
    oneOf(["process", "docker"]),
    "process",
    "What runs the agents: child processes without any isolation, or hardened containers of a Docker engine.",
  ),
  zone: setting(
    zone,
    undefined,
    "The zone in which cron schedules are read and times are shown to agents, unless a group has its own.",
    {
      fallback: hostZone,
      fallbackText: "the host's zone",
      parse: (name) => Result.getOrUndefined(parseZone(String(name))),
      hint: (name) =>
        Result.match(parseZone(name), { onFailure: ({ remedy }) => remedy, onSuccess: () => "" }),
    },
  ),
  sweepIntervalMs: setting(
    count(100, DAY_MS),
    MINUTE_MS,
    "How often everything is looked at, as a safety net.",
  ),
  pollIntervalMs: setting(
    count(10, HOUR_MS),
    SECOND_MS,
    "How often the output of running agents is looked at when they do not ring the doorbell.",
  ),
  owners: setting(userIds, [], "Users who may use every command everywhere."),
  globalAdmins: setting(userIds, [], "Users who may use admin commands in every group."),
  keepZeroExitLogs: setting(
    oneOf(["keep", "discard"]),
    "discard",
    "Whether exits with code 0 leave a log too. Other exits always do.",
  ),
  maxLogBytes: setting(
    count(1024, 1024 ** 3),
    1024 ** 2,
    "How much of an agent's stdout, and of its stderr, is kept.",
  ),
})

export const exitLogRetention = section(["exitLogRetention"], {
  count: setting(count(0, 1_000_000), 1_000, "How many exit logs are kept."),
  ageMs: setting(Millis, 30 * DAY_MS, "How long exit logs are kept."),
})

/** The engine, and where images come from. */
export const docker = section(["docker"], {
  image: setting(
    imageName,
    "lamplighter-agent:latest",
    "The image of groups that name none. Built from container/Dockerfile when the engine lacks it.",
  ),
  baseImage: setting(imageName, "node:24-bookworm-slim", "What container/Dockerfile starts from."),
  build: setting(
    oneOf(["missing", "never"]),
    "missing",
    "Whether the daemon builds `docker.image` when the engine lacks it.",
  ),
  buildTimeoutMs: setting(count(SECOND_MS, DAY_MS), 10 * MINUTE_MS, "A build that takes longer is given up."),
  buildNetwork: setting(
    textThat('"default", "host", "none" or the name of a network of the engine', (name) =>
      /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name),
    ),
    "default",
    "The network of builds that install a group's packages. The agent image needs none.",
  ),
  readableMounts: setting(
    folders,
    [],
    "The allowlist of folders, with all below them, that groups may mount read-only.",
  ),
  writableMounts: setting(
    folders,
    [],
    "The allowlist of folders, with all below them, that groups may mount read-write too.",
  ),
  skillsDir: setting(
    absolutePath("folder"),
    "",
    "Skills that groups share, a folder each: read-only at /app/skills.",
    { fallbackText: "none" },
  ),
  strictRuntime: setting(
    oneOf(["warn", "refuse"]),
    "warn",
    "Whether the daemon refuses to start on an engine whose runc has known escapes, or warns.",
  ),
  socket: setting(absolutePath("unix socket"), "", "Where the engine listens.", {
    fallbackText: "DOCKER_HOST, then the engine's usual socket",
  }),
  callTimeoutMs: setting(
    count(100, HOUR_MS),
    10 * SECOND_MS,
    "How long the engine may take to answer a question or pass on a signal.",
  ),
  changeTimeoutMs: setting(
    count(100, HOUR_MS),
    MINUTE_MS,
    "How long the engine may take to create, start or remove a container.",
  ),
})

const { command: _command, user: _user, ...sandboxFields } = Sandbox.fields

/** The sandbox of every container, unless its group says otherwise. */
export const sandbox = settingsOf("docker", sandboxFields)

/** A proxy's URL, user and password allowed: they tell agents apart. */
const isProxyUrl = (value: string): boolean => {
  const text = value.replaceAll("{group}", "group")
  return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol)
}

/** Where agents' credentials come from. */
export const credentials = section(["credentials"], {
  kind: setting(
    oneOf(["none", "static", "gateway"]),
    "none",
    "Where agents' credentials come from: nowhere, the daemon's own environment, or a gateway that adds them on the way.",
  ),
  variables: setting(
    listOf("names of environment variables", (name) => /^[A-Za-z_][A-Za-z0-9_]{0,99}$/.test(name)),
    [],
    "Kind `static`: the variables of the daemon's environment that agents get.",
  ),
  requiredBy: setting(
    listOf("names of providers", Schema.is(ProviderConfig.fields.name)),
    [],
    "Providers whose agents are not started without credentials.",
  ),
  gatewayUrl: secret(
    "an http or https URL, in which {group} stands for the group's id",
    (value) => isProxyUrl(Redacted.value(value)),
    "Kind `gateway`: the proxy, as containers reach it. Never shown.",
    { fallback: () => Redacted.make(""), fallbackText: "none" },
  ),
  gatewayProbe: setting(
    textThat("a host and a port, such as 127.0.0.1:10255", (text) =>
      /^[A-Za-z0-9.:[\]-]{1,253}:\d{1,5}$/.test(text),
    ),
    "",
    "Kind `gateway`: where the daemon itself reaches the proxy, to see whether it is there.",
    { fallbackText: "host and port of the URL" },
  ),
  gatewayCertificate: setting(
    absolutePath("PEM file"),
    "",
    "Kind `gateway`: the certificates that containers trust, when the proxy opens TLS.",
    { fallbackText: "none" },
  ),
})

export const log = section(["log"], {
  format: setting(
    oneOf(["auto", "pretty", "json"]),
    "auto",
    "How the daemon logs. `auto`: pretty on a terminal, JSON otherwise.",
  ),
  level: setting(
    oneOf(["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "None"]),
    "Info",
    "The least severe level that is logged.",
  ),
})

/** Policy: each can be overridden per group. */
export const policy = settingsOf("policy", Policy.fields)

/** Limits of the daemon as a whole. */
export const limits = settingsOf("limits", HostLimits.fields)

/** Without user, password, path and query: any of them may be a token. */
const showUrl = (value: string): string | null => {
  if (!URL.canParse(value)) return null
  const { origin, protocol } = new URL(value)
  return JSON.stringify(origin === "null" ? `${protocol}…` : `${origin}/…`)
}

export const channelTypes = ["stdout", "file", "webhook"] as const
export type ChannelType = (typeof channelTypes)[number]

/** The settings of the channel of this name, whatever its type. */
export const channelSettings = (name: string) =>
  section(["channels", name], {
    type: setting(oneOf(channelTypes), undefined, "What the channel is."),
    path: setting(
      textThat(
        "a file's path; a relative one starts at the data directory",
        (value) => value !== "" && value.length <= 4_096 && !value.includes("\0"),
      ),
      undefined,
      "Channels of type `file`: the file that JSON lines are appended to. A relative path starts at the data directory.",
    ),
    maxBytes: setting(
      count(1024, 1024 ** 4),
      DEFAULT_FILE_MAX_BYTES,
      "Channels of type `file`: the size that the file may reach; then deliveries wait until it is moved away.",
    ),
    url: setting(
      textThat(expectedUrl, (value) => Result.isSuccess(webhookUrl(value))),
      undefined,
      "Channels of type `webhook`: where deliveries are posted.",
      { show: showUrl },
    ),
    secret: secret(
      expectedSecret,
      (value) => Result.isSuccess(signingKey(value)),
      "Channels of type `webhook`: the key of the signature. Never shown.",
    ),
    timeoutMs: setting(
      count(1, 10 * MINUTE_MS),
      DEFAULT_WEBHOOK_TIMEOUT_MS,
      "Channels of type `webhook`: how long one post may take.",
    ),
  })
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

/** All settings but those of channels, by the manual's sections. */
export const sections: ReadonlyArray<ReadonlyArray<Setting<unknown>>> = [
  [...Object.values(settings), ...Object.values(exitLogRetention), ...Object.values(log)],
  [...Object.values(docker), ...Object.values(sandbox)],
  Object.values(credentials),
  Object.values(policy),
  Object.values(limits),
]
export const staticSettings = sections.flat()
