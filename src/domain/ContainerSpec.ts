/**
 * What one container is allowed: limits, user, network, mounts. A pure description, complete before any engine hears of it, so
 * that every hardening default can be read and tested here; a layer translates it word for word.
 */
import { Schema } from "effect"
import { count, defaultsOf, partly, preset } from "./Fields.ts"

const MIB = 1024 * 1024

export const Sandbox = Schema.Struct({
  memoryBytes: preset(
    count(16 * MIB, 1024 ** 4),
    2_048 * MIB,
    "Memory and swap of one container together; the kernel kills beyond.",
  ),
  cpus: preset(
    Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 1_024 })),
    2,
    "Processors of one container: 1.5 is one and a half.",
  ),
  pids: preset(count(8, 1_000_000), 512, "Processes and threads of one container."),
  openFiles: preset(count(64, 1_048_576), 4_096, "Files that one process may have open."),
  maxFileBytes: preset(count(MIB, 1024 ** 4), 1_024 * MIB, "The largest file that a process may write."),
  temporaryBytes: preset(count(MIB, 64 * 1024 * MIB), 256 * MIB, "Size of /tmp, which is in memory."),
  homeBytes: preset(count(MIB, 64 * 1024 * MIB), 256 * MIB, "Size of /home/node, which is in memory."),
  // The host's network and another container's are refused: they are no boundary.
  network: preset(
    Schema.String.check(Schema.isPattern(/^(?!host$)[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/)).annotate({
      expected: '"none", or the name of a network of the engine; "host" is refused',
    }),
    "none",
    "The network of the containers. An agent that calls a model needs one.",
  ),
  rootFilesystem: preset(
    Schema.Literals(["read-only", "writable"]),
    "read-only",
    "Whether agents may write into their image's files, in a layer that goes with the container.",
  ),
  user: preset(
    Schema.NullOr(Schema.String.check(Schema.isPattern(/^[1-9][0-9]{0,8}:[1-9][0-9]{0,8}$/))),
    null,
    "`uid:gid` inside; null: chosen so that the host can read what is written. Root is refused.",
  ),
  command: preset(
    Schema.NullOr(Schema.NonEmptyArray(Schema.String.check(Schema.isBetweenLength(1, 4_096)))),
    null,
    "Program and arguments; null: the agent runner at /app/src.",
  ),
})
export type Sandbox = typeof Sandbox.Type

export const defaultSandbox: Sandbox = defaultsOf(Sandbox)

/** What a group may change: any field. */
export const SandboxOverride = partly(Sandbox)
export type SandboxOverride = typeof SandboxOverride.Type

export interface Bind {
  readonly source: string
  readonly target: string
  readonly access: "read-only" | "read-write"
}

/** Who runs the daemon, as far as it decides who owns what is written. `rootless`: root inside is the daemon's own user. */
export interface HostIdentity {
  readonly uid: number
  readonly gid: number
  readonly engine: "rootful" | "rootless"
}

/**
 * The user inside. A daemon without root shares its own id with the container, so that both read what the other writes; a
 * daemon with root uses 1000 and gives the exchange folders to it; a rootless engine maps its root to the daemon's user.
 */
export const containerUser = (host: HostIdentity, wanted: string | null): string => {
  if (host.engine === "rootless") return "0:0"
  if (wanted !== null) return wanted
  return host.uid === 0 ? "1000:1000" : `${host.uid}:${host.gid}`
}

export interface ContainerSpec {
  readonly name: string
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly user: string
  readonly env: Readonly<Record<string, string>>
  readonly command: readonly [string, ...Array<string>]
  readonly workdir: string
  readonly binds: ReadonlyArray<Bind>
  /** Target and size of each; all are `nosuid,nodev`, owned by `user`. */
  readonly temporary: ReadonlyArray<{
    readonly target: string
    readonly bytes: number
    readonly programs: "refused" | "allowed"
  }>
  /** Names of the host, as a container with a network may know it. */
  readonly hostNames: ReadonlyArray<string>
  readonly sandbox: Sandbox
  /** Of stdout and stderr together, kept by the engine. */
  readonly maxLogBytes: number
  /** Between SIGTERM and SIGKILL when the engine itself stops it, as it does when it shuts down. */
  readonly graceMs: number
}

/** Where the shared skills are inside. */
export const SKILLS_TARGET = "/app/skills"

/** Skills as folders: `shared` holds all of them, `selected` one link per skill that the group sees. */
export interface SkillFolders {
  readonly shared: string
  readonly selected: string
}

export interface ContainerPlaces {
  readonly inDir: string
  readonly outDir: string
  readonly groupDir: string
  readonly globalDir: string
  readonly containerJson: string
  /** The folder of the runner's source, and the program in it. */
  readonly runnerDir: string
  readonly runnerEntry: string
  readonly skills: SkillFolders | null
  readonly stateDir: string | null
}

export const buildContainerSpec = ({
  extraBinds,
  host,
  places,
  ...given
}: Omit<ContainerSpec, "user" | "command" | "workdir" | "binds" | "temporary" | "hostNames"> & {
  readonly host: HostIdentity
  readonly places: ContainerPlaces
  readonly extraBinds: ReadonlyArray<Bind>
  readonly hostNames?: ReadonlyArray<string>
}): ContainerSpec => {
  const { sandbox } = given
  const optional = (source: string | null | undefined, target: string, access: Bind["access"]) =>
    source == null ? [] : [{ source, target, access }]
  return {
    ...given,
    user: containerUser(host, sandbox.user),
    env: { HOME: "/home/node", ...given.env },
    command: sandbox.command ?? ["node", `/app/src/${places.runnerEntry}`],
    workdir: "/workspace",
    // Outer before inner: an engine mounts in order of depth, and a reader sees it so too.
    binds: [
      { source: places.outDir, target: "/workspace", access: "read-write" },
      { source: places.inDir, target: "/workspace/in", access: "read-only" },
      { source: places.groupDir, target: "/workspace/agent", access: "read-write" },
      { source: places.containerJson, target: "/workspace/agent/container.json", access: "read-only" },
      { source: places.globalDir, target: "/workspace/global", access: "read-only" },
      { source: places.runnerDir, target: "/app/src", access: "read-only" },
      ...optional(places.skills?.shared, SKILLS_TARGET, "read-only"),
      ...optional(places.stateDir, "/home/node/.claude", "read-write"),
      ...optional(places.skills?.selected, "/home/node/.claude/skills", "read-only"),
      ...extraBinds,
    ],
    temporary: [
      { target: "/tmp", bytes: sandbox.temporaryBytes, programs: "refused" },
      { target: "/home/node", bytes: sandbox.homeBytes, programs: "allowed" },
    ],
    hostNames: sandbox.network === "none" ? [] : (given.hostNames ?? []),
  }
}
