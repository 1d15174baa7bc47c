/**
 * OneCLI as a gateway, through the client of its own SDK (`@onecli-sh/sdk`), which whoever composes the daemon brings along: the agent is
 * made known, then what the gateway wants in its container is mounted and set. Files that it hands out are written to a private folder.
 */
import { Redacted } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { rootCertificates } from "node:tls"
import type { Bind } from "../../domain/ContainerSpec.ts"
import type { Group } from "../../domain/Group.ts"
import { type Gateway, HOST_NAME } from "./GatewayCredentials.ts"

/** The part of the SDK's client that is used; an `OneCLI` object is one. */
export interface OneCliClient {
  readonly ensureAgent: (input: { readonly name: string; readonly identifier: string }) => Promise<unknown>
  readonly getContainerConfig: (options: { readonly agent: string }) => Promise<{
    readonly env: Readonly<Record<string, string>>
    readonly caCertificate: string
    readonly caCertificateContainerPath: string
    readonly credentialStubs?: ReadonlyArray<{ readonly containerPath: string; readonly content: string }>
  }>
}

/** Where a program that replaces its own list of certificates finds all of them. */
const BUNDLE_TARGET = "/tmp/onecli-combined-ca.pem"
const BUNDLE_VARIABLES = ["SSL_CERT_FILE", "DENO_CERT"]

const MAX_BYTES = 1024 ** 2
const MAX_STUBS = 50
/** Where a gateway may put files: nowhere near the exchange, the group or the runner. */
const ALLOWED = ["/tmp/", "/home/node/", "/etc/ssl/", "/usr/local/share/ca-certificates/"]
const MAX_PATH = 200

const isAllowed = (target: string): boolean =>
  target.length <= MAX_PATH &&
  !target.includes("\0") &&
  path.posix.normalize(target) === target &&
  ALLOWED.some((folder) => target.startsWith(folder) && target.length > folder.length)

/** Named by its content: a container keeps what it was started with, whatever the gateway says to the next. */
const keep = async (folder: string, content: string, target: string): Promise<Bind> => {
  if (!isAllowed(target)) throw new Error(`it wants a file at ${target}, where none may be`)
  if (Buffer.byteLength(content) > MAX_BYTES) throw new Error(`the file for ${target} is too large`)
  await fs.mkdir(folder, { recursive: true, mode: 0o700 })
  const source = path.join(await fs.realpath(folder), createHash("sha256").update(content).digest("hex"))
  await fs.writeFile(source, content, { mode: 0o644, flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error
  })
  return { source, target, access: "read-only" }
}

/** `folder`: of the host, outside of anything that is mounted; made if it is missing. */
export const oneCliGateway = (client: OneCliClient, options: { readonly folder: string }): Gateway => ({
  ensure: async ({ id, name }: Group) => {
    await client.ensureAgent({ name, identifier: id })
    const given = await client.getContainerConfig({ agent: id })
    const { caCertificate, caCertificateContainerPath, credentialStubs = [], env } = given
    if (credentialStubs.length > MAX_STUBS) throw new Error(`it wants more than ${MAX_STUBS} files`)
    const bundle = `${[...rootCertificates, caCertificate.trimEnd()].join("\n")}\n`
    const binds = [
      await keep(options.folder, caCertificate, caCertificateContainerPath),
      await keep(options.folder, bundle, BUNDLE_TARGET),
    ]
    for (const stub of credentialStubs)
      binds.push(await keep(options.folder, stub.content, stub.containerPath))
    return {
      // Any of them may hold the token by which the gateway knows the agent.
      secrets: Object.fromEntries(
        Object.entries(env)
          .filter(([variable]) => !BUNDLE_VARIABLES.includes(variable))
          .map(([variable, value]) => [variable, Redacted.make(value)]),
      ),
      env: Object.fromEntries(BUNDLE_VARIABLES.map((variable) => [variable, BUNDLE_TARGET])),
      binds,
      hostNames: [HOST_NAME],
    }
  },
})
