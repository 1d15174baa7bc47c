/**
 * A gateway: an HTTP proxy that puts credentials into requests on their way, so that no container ever holds one. What a container gets
 * is where the proxy is, and the certificate by which it opens TLS. A gateway that has to be told of an agent first does so in `ensure`.
 */
import { Effect, Redacted } from "effect"
import { once } from "node:events"
import { realpath } from "node:fs/promises"
import { createConnection } from "node:net"
import type { Group } from "../../domain/Group.ts"
import {
  type CredentialGrant,
  type CredentialsService,
  emptyGrant,
  NoCredentials,
} from "../../services/Credentials.ts"

export interface Gateway {
  /** Makes the agent known if it is not, and says how it reaches the gateway. Repeatable; rejects when the gateway does not answer. */
  readonly ensure: (group: Group) => Promise<CredentialGrant>
}

/** Where the certificate is inside. */
const CERTIFICATE_TARGET = "/etc/lamplighter/gateway.pem"
/** What must not go through a proxy. */
const DIRECT = "localhost,127.0.0.1,::1"
/** What Docker Desktop and OneCLI call the host; elsewhere it is made known to the container when the URL says so. */
export const HOST_NAME = "host.docker.internal"
const ENSURE_MS = 10_000

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const makeGatewayCredentials = (gateway: Gateway): CredentialsService => ({
  kind: "gateway",
  of: (group, need) => {
    if (need === "none") return Effect.succeed(emptyGrant)
    return Effect.tryPromise({
      try: () => gateway.ensure(group),
      catch: (error) => new NoCredentials({ message: `the gateway gives none: ${messageOf(error)}` }),
    }).pipe(
      Effect.timeoutOrElse({
        duration: ENSURE_MS,
        orElse: () => {
          const message = `the gateway did not answer within ${ENSURE_MS} ms; is it running, and is credentials.gatewayUrl right?`
          return Effect.fail(new NoCredentials({ message }))
        },
      }),
    )
  },
})

/**
 * A proxy that needs no introduction: all it has to do is take connections. `{group}` in the URL becomes the group's id, for proxies that
 * tell agents apart by the user's name. `probe`: where this host reaches it, when that is not what containers are told.
 */
export const plainProxy = (options: {
  readonly url: Redacted.Redacted
  readonly probe: { readonly host: string; readonly port: number }
  readonly certificate: string | null
}): Gateway => ({
  ensure: async (group) => {
    await connects(options.probe)
    const proxyUrl = Redacted.make(
      Redacted.value(options.url).replaceAll("{group}", encodeURIComponent(group.id)),
    )
    // Mounts are made of real paths.
    const certificate = options.certificate === null ? null : await realpath(options.certificate)
    const target = CERTIFICATE_TARGET
    const certificates = certificate === null ? {} : { NODE_EXTRA_CA_CERTS: target, SSL_CERT_FILE: target }
    return {
      // Programs do not agree on the case.
      secrets: Object.fromEntries(
        ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map((name) => [name, proxyUrl]),
      ),
      env: {
        NO_PROXY: DIRECT,
        no_proxy: DIRECT,
        // Node's own fetch looks at the proxy variables only when it is told to.
        NODE_USE_ENV_PROXY: "1",
        ...certificates,
      },
      binds: certificate === null ? [] : [{ source: certificate, target, access: "read-only" }],
      hostNames: new URL(Redacted.value(proxyUrl)).hostname === HOST_NAME ? [HOST_NAME] : [],
    }
  },
})

const CONNECT_MS = 3_000

const connects = async ({ host, port }: { readonly host: string; readonly port: number }): Promise<void> => {
  const socket = createConnection({ host, port })
  socket.setTimeout(CONNECT_MS, () =>
    socket.destroy(new Error(`${host}:${port} took no connection within ${CONNECT_MS} ms`)),
  )
  await once(socket, "connect").finally(() => socket.destroy())
}
