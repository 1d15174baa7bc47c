/**
 * Credentials that stand in the daemon's own environment, handed to agents under the same names. The simplest way, and the weakest: an
 * agent sees them, and so does whoever may ask the engine. They are never logged and never written to disk.
 */
import { Effect, Redacted } from "effect"
import { type CredentialsService, emptyGrant, NoCredentials } from "../../services/Credentials.ts"

/** `variables`: names that are wanted; `environment`: where they are looked up, once. */
export const makeStaticCredentials = (options: {
  readonly variables: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string | undefined>>
}): CredentialsService => {
  const secrets: Record<string, Redacted.Redacted> = {}
  for (const name of options.variables) {
    const value = options.environment[name]
    if (value !== undefined && value !== "") secrets[name] = Redacted.make(value)
  }
  const missing = options.variables.filter((name) => !Object.hasOwn(secrets, name))
  return {
    kind: "static",
    of: (group, need) => {
      if (need === "none") return Effect.succeed(emptyGrant)
      if (need !== "required" || (missing.length === 0 && options.variables.length > 0))
        return Effect.succeed({ ...emptyGrant, secrets })
      const without = `the daemon was started without ${missing.join(", ")}`
      const why = missing.length === 0 ? "credentials.variables names none" : without
      const message = `the provider ${group.provider.name} needs credentials, and ${why}; set them and start it again`
      return Effect.fail(new NoCredentials({ message }))
    },
  }
}
