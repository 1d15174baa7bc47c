/**
 * The daemon's configuration: environment over file over defaults, validated whole at start. Every setting is declared once, in
 * `configuration/SettingsCatalogue.ts`; docs/configuration.md is its manual.
 */
import { Effect, Redacted } from "effect"
import type { Sandbox } from "../domain/ContainerSpec.ts"
import type { HostLimits, Policy } from "../domain/Policy.ts"
import type { ChannelSettings } from "./channels/ChannelRegistry.ts"
import { channelOfVariable, readChannels } from "./configuration/ChannelConfiguration.ts"
import {
  type ConfigurationError,
  type ConfigurationIssue,
  issueOf,
  reportOf,
} from "./configuration/ConfigurationError.ts"
import { type JsonObject, readConfigurationFile, structureIssues } from "./configuration/ConfigurationFile.ts"
import {
  DATA_VARIABLE,
  type Environment,
  FILE_VARIABLE,
  locate,
  type LocateOptions,
} from "./configuration/Location.ts"
import { nearestNames } from "../domain/NearestName.ts"
import { environmentName, type ValuesOf } from "./configuration/Setting.ts"
import { makeReader } from "./configuration/SettingReader.ts"
import * as Catalogue from "./configuration/SettingsCatalogue.ts"

export { ConfigurationError, type ConfigurationIssue } from "./configuration/ConfigurationError.ts"
export { type Environment, locate } from "./configuration/Location.ts"

/** What the catalogue's settings say. A text that is empty says: none, or the usual one. */
export interface Settings extends ValuesOf<typeof Catalogue.settings> {
  /** Absolute. */
  readonly dataDir: string
  readonly docker: ValuesOf<typeof Catalogue.docker>
  /** Of every container, unless its group says otherwise. */
  readonly sandbox: Sandbox
  readonly credentials: ValuesOf<typeof Catalogue.credentials>
  readonly policy: Policy
  readonly limits: HostLimits
  /** By name, which is the `channelType` of its deliveries. `stdout` is always there. */
  readonly channels: Readonly<Record<string, ChannelSettings>>
  readonly exitLogRetention: ValuesOf<typeof Catalogue.exitLogRetention>
  readonly log: ValuesOf<typeof Catalogue.log>
}

/** Reads and validates everything. Fails with all that is wrong, in one report. */
export const loadSettings = (options: LocateOptions): Effect.Effect<Settings, ConfigurationError> =>
  Effect.gen(function* () {
    const { dataDir, file, home, named } = locate(options)
    const issues: Array<ConfigurationIssue> = []
    const root = yield* readConfigurationFile(file, named ? "refused" : "allowed").pipe(
      Effect.catch((issue) => {
        issues.push(issue)
        return Effect.succeed<JsonObject>({})
      }),
    )
    issues.push(...structureIssues(file, root))
    const reader = makeReader({ env: options.env, root, file, issues })

    const settings: Settings = {
      dataDir,
      ...reader.readAll(Catalogue.settings),
      docker: reader.readAll(Catalogue.docker),
      sandbox: { ...reader.readAll(Catalogue.sandbox), user: null, command: null },
      credentials: reader.readAll(Catalogue.credentials),
      policy: reader.readAll(Catalogue.policy),
      limits: reader.readAll(Catalogue.limits),
      channels: readChannels(reader, { dataDir, home }),
      exitLogRetention: reader.readAll(Catalogue.exitLogRetention),
      log: reader.readAll(Catalogue.log),
    }
    const { gatewayUrl, kind } = settings.credentials
    if (kind === "gateway" && Redacted.value(gatewayUrl) === "") {
      const { expected } = Catalogue.credentials.gatewayUrl
      const message = `credentials.gatewayUrl is missing: credentials.kind is "gateway", so set it to ${expected}`
      issues.push(issueOf("credentials.gatewayUrl", null, expected, message))
    }
    const report = reportOf(issues)
    return report === undefined ? settings : yield* report
  })

const VARIABLE_PREFIX = "LAMPLIGHTER_"
const isRead = new Set([
  DATA_VARIABLE,
  FILE_VARIABLE,
  ...Catalogue.staticSettings.map(({ path }) => environmentName(path)),
])

/**
 * What to say of LAMPLIGHTER_ variables that no setting reads, with the nearest that one does. They are no errors, because a newer or
 * an older version may know them; worth a warning at start.
 */
export const unknownVariables = (env: Environment): ReadonlyArray<string> =>
  Object.keys(env)
    .filter((name) => name.startsWith(VARIABLE_PREFIX) && !isRead.has(name))
    .filter((name) => channelOfVariable(name) === undefined)
    .sort()
    .map((name) => {
      // What all of them start with makes no two of them near.
      const own = (variable: string) => variable.slice(VARIABLE_PREFIX.length)
      const [nearest] = nearestNames(own(name), isRead, 1, own)
      return `nothing reads ${name}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`
    })
