/**
 * A `ContainerSpec` as the Engine API's create body, word for word. Binds are `Mounts` objects, never `-v` strings: a colon or a
 * comma in a path would inject fields.
 */
import type { ContainerCreateOptions } from "dockerode"
import type { ContainerSpec } from "../../domain/ContainerSpec.ts"

const CPU_PERIOD_US = 100_000
const LOG_FILES = 2

/** The fields of API 1.41 that the published types lack are added here. */
export const containerBody = (spec: ContainerSpec): ContainerCreateOptions => {
  const { sandbox } = spec
  const [uid = "0", gid = "0"] = spec.user.split(":")
  return {
    name: spec.name,
    Image: spec.image,
    Labels: { ...spec.labels },
    User: spec.user,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Entrypoint: [...spec.command],
    Cmd: [],
    WorkingDir: spec.workdir,
    AttachStdin: false,
    OpenStdin: false,
    Tty: false,
    StopTimeout: Math.ceil(spec.graceMs / 1_000),
    NetworkDisabled: sandbox.network === "none",
    HostConfig: {
      Init: true,
      AutoRemove: false,
      RestartPolicy: { Name: "no" },
      Privileged: false,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      ReadonlyRootfs: sandbox.rootFilesystem === "read-only",
      IpcMode: "private",
      NetworkMode: sandbox.network,
      ExtraHosts: spec.hostNames.map((name) => `${name}:host-gateway`),
      PidsLimit: sandbox.pids,
      Memory: sandbox.memoryBytes,
      MemorySwap: sandbox.memoryBytes,
      // A quota, not NanoCpus: that one is refused on a host with fewer processors.
      CpuPeriod: CPU_PERIOD_US,
      CpuQuota: Math.max(1_000, Math.round(sandbox.cpus * CPU_PERIOD_US)),
      Ulimits: [
        { Name: "nofile", Soft: sandbox.openFiles, Hard: sandbox.openFiles },
        { Name: "fsize", Soft: sandbox.maxFileBytes, Hard: sandbox.maxFileBytes },
        { Name: "core", Soft: 0, Hard: 0 },
      ],
      Tmpfs: Object.fromEntries(
        spec.temporary.map(({ bytes, programs, target }) => [
          target,
          `rw,nosuid,nodev,${programs === "refused" ? "noexec," : "exec,"}size=${bytes},uid=${uid},gid=${gid},mode=0700`,
        ]),
      ),
      Mounts: spec.binds.map(({ access, source, target }) => ({
        Type: "bind" as const,
        Source: source,
        Target: target,
        ReadOnly: access === "read-only",
        BindOptions: { Propagation: "rprivate" as const },
      })),
      LogConfig: {
        Type: "json-file",
        Config: {
          "max-file": String(LOG_FILES),
          "max-size": String(Math.max(64 * 1024, Math.ceil(spec.maxLogBytes / LOG_FILES))),
        },
      },
    },
  }
}
