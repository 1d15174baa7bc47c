/**
 * The allowlist of this host: real paths are resolved here, decided in the domain. What the settings allow is itself resolved, so that a
 * link on the list means where it leads.
 */
import { Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import { homedir } from "node:os"
import { decideMounts, type MountAllowance } from "../../domain/MountPolicy.ts"
import { HostMounts } from "../../services/HostMounts.ts"

export interface LocalMountsOptions {
  /** Absolute. */
  readonly dataDir: string
  readonly readable: ReadonlyArray<string>
  readonly writable: ReadonlyArray<string>
  /** Sockets of engines beside the usual ones. */
  readonly engineSockets: ReadonlyArray<string>
  /** The daemon's configuration file, which holds secrets. */
  readonly configurationFile: string | null
}

const USUAL_SOCKETS = [
  "/var/run/docker.sock",
  "/run/docker.sock",
  "/run/podman/podman.sock",
  "/run/containerd/containerd.sock",
]

const real = (path: string): Promise<string | null> => fs.realpath(path).catch(() => null)

/** As it is, when nothing is there. */
const realOrSame = async (path: string): Promise<string> => (await real(path)) ?? path

/** The homes of all users; without the list, of this one. */
const homesOf = async (): Promise<ReadonlyArray<string>> => {
  const listed = await fs.readFile("/etc/passwd", "utf8").catch(() => "")
  const homes = listed
    .split("\n")
    .map((line) => line.split(":")[5] ?? "")
    // Users of services have / or a folder of the system, which other rules are about.
    .filter((home) => home.startsWith("/home/") || home === "/root")
  return Promise.all([...new Set([homedir(), "/root", ...homes])].map(realOrSame))
}

export const layer = (options: LocalMountsOptions): Layer.Layer<never> =>
  Layer.succeed(HostMounts, {
    decide: (requests) =>
      requests.length === 0
        ? Effect.succeed([])
        : Effect.promise(async () => {
            const allow = (access: MountAllowance["access"]) => async (path: string) => ({
              path: await realOrSame(path),
              access,
            })
            return decideMounts({
              requests: await Promise.all(
                requests.map(async (request) => ({ request, realPath: await real(request.source) })),
              ),
              allowances: await Promise.all([
                ...options.readable.map(allow("read-only")),
                ...options.writable.map(allow("read-write")),
              ]),
              host: {
                homes: await homesOf(),
                engineSockets: await Promise.all(
                  [...USUAL_SOCKETS, ...options.engineSockets].map(realOrSame),
                ),
                dataDir: await realOrSame(options.dataDir),
                configurationFile:
                  options.configurationFile === null ? null : await realOrSame(options.configurationFile),
              },
            })
          }),
  })
