/** What an engine says of itself: its version, what runs its containers, and whether it is rootless. */
import { Effect } from "effect"
import { ask } from "./DockerEngine.ts"

/** Where the published types say less than the engine. */
interface Told {
  readonly Version: string
  readonly ApiVersion: string
  readonly Components?: ReadonlyArray<{
    readonly Name: string
    readonly Version: string
    readonly Details?: Readonly<Record<string, string>>
  }>
}

interface Information {
  readonly OperatingSystem?: string
  /** An engine without any says null. */
  readonly SecurityOptions?: ReadonlyArray<string> | null
}

/** The engine's system, and whether it is rootless. */
export const engineSystem = Effect.map(
  ask("the engine can't be asked what it is", (docker, abortSignal) => {
    // The published types know no way to give this one up.
    const info = docker.info.bind(docker) as (options: { abortSignal: AbortSignal }) => Promise<Information>
    return info({ abortSignal })
  }),
  ({ OperatingSystem, SecurityOptions }) => {
    const isRootless = SecurityOptions?.some((option) => option.startsWith("name=rootless"))
    return {
      system: OperatingSystem ?? "unknown",
      rootless: isRootless ? ("rootless" as const) : ("rootful" as const),
    }
  },
)

export const engineFacts = Effect.gen(function* () {
  const { ApiVersion, Components, Version } = yield* ask(
    "the engine can't be asked for its version",
    (docker) => docker.version() as Promise<unknown> as Promise<Told>,
  )
  const runc = Components?.find(({ Name }) => Name === "runc")
  const commit = runc?.Details?.["GitCommit"] ?? ""
  return {
    version: Version,
    apiVersion: ApiVersion,
    // A distribution's revision, where the commit is one, tells more than the version does. Null when the engine runs its containers
    // with something else, or does not tell.
    runc: runc === undefined ? null : commit.startsWith(runc.Version) ? commit : runc.Version,
    ...(yield* engineSystem),
  }
})
