/**
 * Where an agent's credentials come from: nowhere, the host's configuration, or a gateway that injects them on the way, so that the
 * container never sees any. Asked at each wake; where they are required and there are none, nothing is started and nothing is lost.
 */
import { Context, Effect, type Redacted, Schema } from "effect"
import type { Bind } from "../domain/ContainerSpec.ts"
import type { Group } from "../domain/Group.ts"
import type { ProviderContribution } from "./ProviderRegistry.ts"

/** There are none, or whoever gives them did not answer. The message says what would help. */
export class NoCredentials extends Schema.TaggedError<NoCredentials>()("NoCredentials", {
  message: Schema.String,
}) {}

export interface CredentialGrant {
  readonly env: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, Redacted.Redacted>>
  readonly binds: ReadonlyArray<Bind>
  /** Names by which the container reaches this host. */
  readonly hostNames: ReadonlyArray<string>
}

export const emptyGrant: CredentialGrant = { env: {}, secrets: {}, binds: [], hostNames: [] }

export interface CredentialsService {
  /** For `logs` and `status`: `none`, `static`, `gateway`. */
  readonly kind: string
  readonly of: (
    group: Group,
    need: ProviderContribution["credentials"],
  ) => Effect.Effect<CredentialGrant, NoCredentials>
}

export const noCredentials: CredentialsService = {
  kind: "none",
  of: (group, need) =>
    need === "required"
      ? Effect.fail(
          new NoCredentials({
            message: `the provider ${group.provider.name} needs credentials and none are configured; set credentials.kind`,
          }),
        )
      : Effect.succeed(emptyGrant),
}

export const Credentials = Context.Reference<CredentialsService>("lamplighter/services/Credentials", {
  defaultValue: () => noCredentials,
})
