/** What a wake asks of this host beyond its files, as the settings say: mounts, credentials, and what providers bring along. */
import { Layer, Redacted } from "effect"
import type { Settings } from "../layers/Configuration.ts"
import { locate } from "../layers/configuration/Location.ts"
import { makeGatewayCredentials, plainProxy } from "../layers/credentials/GatewayCredentials.ts"
import { makeStaticCredentials } from "../layers/credentials/StaticCredentials.ts"
import * as LocalMounts from "../layers/files/LocalMounts.ts"
import { Credentials, type CredentialsService, noCredentials } from "../services/Credentials.ts"
import { builtInProviders, makeProviderRegistry, ProviderRegistry } from "../services/ProviderRegistry.ts"

const HTTP_PORT = 80
const HTTPS_PORT = 443

/** Of the setting, or of the URL itself. */
const probeOf = (url: Redacted.Redacted, said: string): { readonly host: string; readonly port: number } => {
  const { hostname, port, protocol } = new URL(
    said === "" ? Redacted.value(url).replaceAll("{group}", "group") : `http://${said}`,
  )
  return {
    host: hostname.replaceAll(/^\[|\]$/g, ""),
    port: port === "" ? (protocol === "https:" ? HTTPS_PORT : HTTP_PORT) : Number(port),
  }
}

const credentialsOf = ({ credentials }: Settings): CredentialsService => {
  switch (credentials.kind) {
    case "none":
      return noCredentials
    case "static":
      return makeStaticCredentials({ variables: credentials.variables, environment: process.env })
    case "gateway":
      return makeGatewayCredentials(
        plainProxy({
          url: credentials.gatewayUrl,
          probe: probeOf(credentials.gatewayUrl, credentials.gatewayProbe),
          certificate: credentials.gatewayCertificate === "" ? null : credentials.gatewayCertificate,
        }),
      )
  }
}

export const hostServices = (settings: Settings): Layer.Layer<never> =>
  Layer.mergeAll(
    Layer.succeed(Credentials, credentialsOf(settings)),
    Layer.succeed(ProviderRegistry, makeProviderRegistry(builtInProviders, settings.credentials.requiredBy)),
    settings.runtime === "docker"
      ? LocalMounts.layer({
          dataDir: settings.dataDir,
          readable: settings.docker.readableMounts,
          writable: settings.docker.writableMounts,
          engineSockets: settings.docker.socket === "" ? [] : [settings.docker.socket],
          configurationFile: locate({ env: process.env, dataDir: settings.dataDir }).file,
        })
      : Layer.empty,
  )
