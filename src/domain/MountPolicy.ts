/**
 * Which folders of the host a group may see beyond its own: what an operator's allowlist admits, minus what no list can admit. Pure:
 * a layer resolves real paths before it asks, and asks again just before the container is made.
 */
import { Schema } from "effect"
import type { Bind } from "./ContainerSpec.ts"

const MAX_PATH = 4_096
const isCleanPath = (path: string): boolean =>
  path.startsWith("/") &&
  path.length <= MAX_PATH &&
  !path.includes("\0") &&
  !path.split("/").some((part) => part === "." || part === "..")

export const AbsolutePath = Schema.String.check(
  Schema.makeFilter((path: string) =>
    isCleanPath(path) ? undefined : "expected an absolute path without . and .. parts",
  ),
)

/** What a group asks for. */
export const MountRequest = Schema.Struct({
  source: AbsolutePath,
  /** A name under /workspace/extra. */
  target: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/)),
  access: Schema.Literals(["read-only", "read-write"]),
})
export type MountRequest = typeof MountRequest.Type

/** What the operator allows: this folder and everything below it. */
export const MountAllowance = Schema.Struct({
  path: AbsolutePath,
  access: Schema.Literals(["read-only", "read-write"]),
})
export type MountAllowance = typeof MountAllowance.Type

export type MountRefusal =
  | "not-absolute"
  | "missing"
  | "root"
  | "system"
  | "home"
  | "engine-socket"
  | "credentials"
  | "data-directory"
  | "not-allowed"
  | "read-only"
  | "target-taken"

export type MountDecision =
  | { readonly _tag: "Allowed"; readonly request: MountRequest; readonly bind: Bind }
  | {
      readonly _tag: "Refused"
      readonly request: MountRequest
      readonly reason: MountRefusal
      /** Names the path and the remedy. */
      readonly message: string
    }

export interface MountHost {
  /** Real paths. */
  readonly homes: ReadonlyArray<string>
  readonly engineSockets: ReadonlyArray<string>
  readonly dataDir: string
  /** The daemon's configuration, which holds secrets; null when there is none. */
  readonly configurationFile: string | null
}

const SYSTEM = [
  "/proc",
  "/sys",
  "/dev",
  "/boot",
  "/etc",
  "/run",
  "/var/run",
  "/var/lib/docker",
  "/var/lib/containerd",
]

/** Anywhere in a path, whole parts, compared in lower case: some file systems do not tell `.SSH` from `.ssh`. */
const CREDENTIALS = [
  ".ssh",
  ".aws",
  ".azure",
  ".gnupg",
  ".kube",
  ".docker",
  ".password-store",
  ".netrc",
  ".npmrc",
  ".pypirc",
  ".git-credentials",
  ".mozilla",
  "keychains",
  "keyrings",
  ".config/gcloud",
  ".config/gh",
  ".config/google-chrome",
  ".config/chromium",
  ".config/bravesoftware",
  ".config/microsoft-edge",
  "application support/google/chrome",
  "application support/firefox",
]

const partsOf = (path: string): ReadonlyArray<string> => path.split("/").filter((part) => part !== "")

/** Whether `path` is `folder` or below it, part by part: `/a/bc` is not below `/a/b`. */
export const isWithin = (path: string, folder: string): boolean => {
  const inner = partsOf(path)
  return partsOf(folder).every((part, index) => inner[index] === part)
}

const overlaps = (one: string, other: string): boolean => isWithin(one, other) || isWithin(other, one)

const hasCredentials = (path: string): boolean => {
  const parts = `/${partsOf(path.toLowerCase()).join("/")}/`
  return CREDENTIALS.some((place) => parts.includes(`/${place}/`))
}

/**
 * Decides one request. `realPath` is where its source really is, every link followed; null when there is nothing. What is refused
 * here is refused whatever the list says.
 */
const refuse = (
  request: MountRequest,
  realPath: string | null,
  allowances: ReadonlyArray<MountAllowance>,
  host: MountHost,
): readonly [MountRefusal, string] | null => {
  const named =
    realPath === request.source ? request.source : `${request.source} (really ${realPath ?? "nothing"})`
  if (!isCleanPath(request.source))
    return ["not-absolute", `${request.source} is not a plain absolute path; write it without . and ..`]
  if (realPath === null)
    return ["missing", `${request.source} does not exist or can't be read; create it or correct the path`]
  if (partsOf(realPath).length === 0)
    return ["root", `${named} is the whole host; name the folder that is needed`]
  if (SYSTEM.some((folder) => overlaps(realPath, folder)))
    return ["system", `${named} is, holds or is inside a folder of the system; no list admits it`]
  if (host.engineSockets.some((socket) => isWithin(socket, realPath)))
    return [
      "engine-socket",
      `${named} is or holds the engine's socket, which is root on the host; no list admits it`,
    ]
  if (overlaps(realPath, host.dataDir))
    return [
      "data-directory",
      `${named} is, holds or is inside the daemon's own data directory; no list admits it`,
    ]
  if (host.configurationFile !== null && isWithin(host.configurationFile, realPath))
    return ["data-directory", `${named} is or holds the daemon's configuration; no list admits it`]
  if (host.homes.some((home) => isWithin(home, realPath)))
    return ["home", `${named} is or holds a home directory, with all credentials in it; name a folder inside`]
  if (hasCredentials(realPath) || hasCredentials(request.source))
    return ["credentials", `${named} is a place of credentials; no list admits it`]
  const admitting = allowances.filter(({ path }) => isWithin(realPath, path))
  if (admitting.length === 0)
    return [
      "not-allowed",
      `${named} is not on the allowlist; add it, or a folder above it, to docker.readableMounts or docker.writableMounts`,
    ]
  if (request.access === "read-write" && !admitting.some(({ access }) => access === "read-write"))
    return [
      "read-only",
      `${named} is allowed for reading only; ask for read-only, or add it to docker.writableMounts`,
    ]
  return null
}

/** Decides all requests of one group, in their order. Targets are names under /workspace/extra; a second of one name is refused. */
export const decideMounts = (input: {
  readonly requests: ReadonlyArray<{ readonly request: MountRequest; readonly realPath: string | null }>
  readonly allowances: ReadonlyArray<MountAllowance>
  readonly host: MountHost
}): ReadonlyArray<MountDecision> => {
  const taken = new Set<string>()
  return input.requests.map(({ realPath, request }): MountDecision => {
    const refused = taken.has(request.target)
      ? ([
          "target-taken",
          `${request.target} is mounted already; give ${request.source} another name`,
        ] as const)
      : refuse(request, realPath, input.allowances, input.host)
    if (refused !== null) return { _tag: "Refused", request, reason: refused[0], message: refused[1] }
    taken.add(request.target)
    return {
      _tag: "Allowed",
      request,
      bind: {
        source: realPath ?? request.source,
        target: `/workspace/extra/${request.target}`,
        access: request.access,
      },
    }
  })
}
