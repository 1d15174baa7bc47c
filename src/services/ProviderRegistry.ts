/**
 * What each provider needs from the host: mounts, environment, secrets, and whether it works without credentials. One registry, so that
 * a provider of a group's own runner can bring its own; the providers of Lamplighter's runner need nothing.
 */
import { Context, type Redacted } from "effect"
import type { Bind } from "../domain/ContainerSpec.ts"
import type { Group } from "../domain/Group.ts"

export interface ProviderContribution {
  readonly binds: ReadonlyArray<Bind>
  /** Read by foreign code; what the runner reads is in container.json. */
  readonly env: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, Redacted.Redacted>>
  /** `none`: it gets no credentials, even where there are some. */
  readonly credentials: "required" | "optional" | "none"
}

export const noContribution: ProviderContribution = { binds: [], env: {}, secrets: {}, credentials: "none" }

export interface ProviderRegistryService {
  readonly contribute: (group: Group) => ProviderContribution
  /** Why no container of the group could start its provider, or null. It never falls back to another one. */
  readonly refuse: (group: Pick<Group, "provider" | "container">) => string | null
}

type Contribution = (group: Group) => ProviderContribution

const mayHaveCredentials: ProviderContribution = { ...noContribution, credentials: "optional" }

/** The providers of the agent runner. This is the one place on the host that names them; a test compares them with the runner's own. */
export const builtInProviders: Readonly<Record<string, Contribution>> = {
  echo: () => noContribution,
  command: () => mayHaveCredentials,
}

/**
 * By provider name. One that is not listed needs a runner of the group's own; it may have credentials, and works without. Those in
 * `requiring` start only with credentials.
 */
export const makeProviderRegistry = (
  providers: Readonly<Record<string, Contribution>>,
  requiring: ReadonlyArray<string> = [],
): ProviderRegistryService => ({
  contribute: (group) => {
    const { name } = group.provider
    const own = Object.hasOwn(providers, name) ? providers[name] : undefined
    const contribution = own?.(group) ?? mayHaveCredentials
    return requiring.includes(name) ? { ...contribution, credentials: "required" } : contribution
  },
  refuse: ({ container, provider: { name } }) =>
    Object.hasOwn(providers, name) ||
    container.runnerDir !== null ||
    (container.sandbox.command ?? null) !== null
      ? null
      : `there is no provider '${name}'; the runner has ${Object.keys(providers).join(", ")}, and one of your own needs --runner-dir`,
})

export const ProviderRegistry = Context.Reference<ProviderRegistryService>(
  "lamplighter/services/ProviderRegistry",
  { defaultValue: () => makeProviderRegistry(builtInProviders) },
)
