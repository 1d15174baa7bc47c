/** What a container was, for its exit log: image, program, limits, mounts and times as the engine had them. Never its environment. */
import type { ContainerInspectInfo } from "dockerode"

const MIB = 1024 ** 2

const limitsOf = ({ HostConfig }: ContainerInspectInfo): string =>
  [
    `memory ${Math.round((HostConfig.Memory ?? 0) / MIB)} MiB`,
    `cpus ${(HostConfig.CpuQuota ?? 0) / (HostConfig.CpuPeriod || 1)}`,
    `pids ${HostConfig.PidsLimit ?? "unlimited"}`,
    `network ${HostConfig.NetworkMode ?? "unknown"}`,
    `root ${HostConfig.ReadonlyRootfs === true ? "read-only" : "writable"}`,
  ].join(", ")

export const containerFacts = (
  info: ContainerInspectInfo,
): ReadonlyArray<readonly [name: string, value: string]> => [
  ["container", info.Id],
  ["image", info.Config.Image],
  ["digest", info.Image],
  ["user", info.Config.User],
  ["command", JSON.stringify([...[info.Config.Entrypoint ?? []].flat(), ...(info.Config.Cmd ?? [])])],
  ["limits", limitsOf(info)],
  ...(info.Mounts ?? [])
    .toSorted((one, other) => (one.Destination < other.Destination ? -1 : 1))
    .map(
      ({ Destination, RW, Source }) =>
        ["mount", `${Source} at ${Destination}, ${RW ? "read-write" : "read-only"}`] as const,
    ),
  ["created", info.Created],
  ["started", info.State.StartedAt],
  ["finished", info.State.FinishedAt],
  ...(info.State.Error === "" ? [] : [["engine", info.State.Error] as const]),
]
