/** What an engine says of itself: its version, what runs its containers, and whether it is rootless. */
import { Effect } from "effect"
import { DockerEngine } from "./DockerEngine.ts"

export interface EngineFacts {
  readonly version: string
  readonly apiVersion: string
  /** Null when the engine runs its containers with something else, or does not tell. */
  readonly runc: string | null
  readonly system: string
  readonly rootless: "rootless" | "rootful"
}

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
  readonly SecurityOptions?: ReadonlyArray<string>
}

/** The engine's system, and whether it is rootless. */
export const engineSystem = Effect.gen(function* () {
  const engine = yield* DockerEngine
  const information = yield* engine.ask("the engine can't be asked what it is", (docker, abortSignal) => {
    // The published types know no way to give this one up.
    const info = docker.info.bind(docker) as (options: { abortSignal: AbortSignal }) => Promise<Information>
    return info({ abortSignal })
  })
  const rootless = (information.SecurityOptions ?? []).some((option) => option.startsWith("name=rootless"))
  return {
    system: information.OperatingSystem ?? "unknown",
    rootless: rootless ? ("rootless" as const) : ("rootful" as const),
  }
})

export const engineFacts = Effect.gen(function* () {
  const engine = yield* DockerEngine
  const told: Told = yield* engine.ask(
    "the engine can't be asked for its version",
    (docker) => docker.version() as Promise<unknown> as Promise<Told>,
  )
  const runc = told.Components?.find(({ Name }) => Name === "runc")
  const commit = runc?.Details?.["GitCommit"] ?? ""
  const facts: EngineFacts = {
    version: told.Version,
    apiVersion: told.ApiVersion,
    // A distribution's revision, where the commit is one, tells more than the version does.
    runc: runc === undefined ? null : commit.startsWith(runc.Version) ? commit : runc.Version,
    ...(yield* engineSystem),
  }
  return facts
})
