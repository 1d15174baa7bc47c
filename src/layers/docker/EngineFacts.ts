/** What an engine says of itself: its version, what runs its containers, and whether it is rootless. */
import type { DockerEngine } from "./DockerEngine.ts"

export interface EngineFacts {
  readonly version: string
  readonly apiVersion: string
  /** Null when the engine runs its containers with something else, or does not tell. */
  readonly runc: string | null
  readonly system: string
  readonly rootless: "rootless" | "rootful"
}

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

export const engineFacts = async (engine: DockerEngine): Promise<EngineFacts> => {
  const told = (await engine.ask("the engine can't be asked for its version", () =>
    engine.docker.version(),
  )) as unknown as Told
  const information = (await engine.ask("the engine can't be asked what it is", () =>
    engine.docker.info(),
  )) as Information
  const runc = told.Components?.find(({ Name }) => Name === "runc")
  const commit = runc?.Details?.["GitCommit"] ?? ""
  return {
    version: told.Version,
    apiVersion: told.ApiVersion,
    // A distribution's revision, where the commit is one, tells more than the version does.
    runc: runc === undefined ? null : commit.startsWith(runc.Version) ? commit : runc.Version,
    system: information.OperatingSystem ?? "unknown",
    rootless: (information.SecurityOptions ?? []).some((option) => option.startsWith("name=rootless"))
      ? "rootless"
      : "rootful",
  }
}
