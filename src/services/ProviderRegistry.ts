/**
 * What each provider needs from the host: mounts, environment, secrets, and whether it works without credentials. One registry, so that
 * a provider that the agents' image adds can bring its own; the providers of the runner itself need nothing.
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
}

/** By provider name. One that is not listed may have credentials, and works without. */
export const makeProviderRegistry = (
  providers: Readonly<Record<string, (group: Group) => ProviderContribution>>,
): ProviderRegistryService => ({
  contribute: (group) => {
    const { name } = group.provider
    const contribute = Object.hasOwn(providers, name) ? providers[name] : undefined
    return contribute === undefined ? { ...noContribution, credentials: "optional" } : contribute(group)
  },
})

export const builtInProviders = { echo: () => noContribution }

export const ProviderRegistry = Context.Reference<ProviderRegistryService>(
  "lamplighter/services/ProviderRegistry",
  { defaultValue: () => makeProviderRegistry(builtInProviders) },
)
