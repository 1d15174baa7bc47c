// Tells, as one line of JSON, what a container may do: what the kernel says of it, and what becomes of things that it must not do.
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs"
import { createConnection } from "node:net"
import { networkInterfaces } from "node:os"

const read = (path) => {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return null
  }
}

const attempt = (action) => {
  try {
    action()
    return "done"
  } catch (error) {
    return error.code ?? String(error)
  }
}

const status = Object.fromEntries(
  read("/proc/self/status")
    .split("\n")
    .map((line) => line.split(/:\s*/, 2)),
)

const mounts = Object.fromEntries(
  read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => {
      const fields = line.split(" ")
      const dash = fields.indexOf("-")
      return [
        fields[4],
        { options: fields[5].split(","), tags: fields.slice(6, dash), type: fields[dash + 1] },
      ]
    }),
)

const limits = Object.fromEntries(
  read("/proc/self/limits")
    .split("\n")
    .slice(1)
    .map((line) => [line.slice(0, 26).trim(), line.slice(26).trim().split(/\s+/)]),
)

const runs = (place) => () => {
  const program = `${place}/program`
  copyFileSync("/usr/bin/true", program)
  chmodSync(program, 0o755)
  execFileSync(program)
}

const reach = (host) =>
  new Promise((resolve) => {
    const socket = createConnection({ host, port: 80, timeout: 2_000 })
    const end = (how) => () => {
      socket.destroy()
      resolve(how)
    }
    socket.once("connect", end("connected"))
    socket.once("timeout", end("timeout"))
    socket.once("error", (error) => end(error.code)())
  })

const report = {
  ids: { user: status.Uid, group: status.Gid, groups: status.Groups },
  capabilities: [status.CapInh, status.CapPrm, status.CapEff, status.CapBnd, status.CapAmb],
  noNewPrivileges: status.NoNewPrivs,
  seccomp: status.Seccomp,
  init: read("/proc/1/comm"),
  own: process.argv,
  workdir: process.cwd(),
  env: process.env,
  mounts,
  limits,
  cgroup: {
    pids: read("/sys/fs/cgroup/pids.max") ?? read("/sys/fs/cgroup/pids/pids.max"),
    memory: read("/sys/fs/cgroup/memory.max") ?? read("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    cpu: read("/sys/fs/cgroup/cpu.max") ?? read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
  },
  interfaces: Object.keys(networkInterfaces()),
  reach: await reach("1.1.1.1"),
  writes: Object.fromEntries(
    [
      "/",
      "/etc",
      "/usr/bin",
      "/app",
      "/app/src",
      "/workspace",
      "/workspace/in",
      "/workspace/agent",
      "/workspace/global",
      "/tmp",
      "/home/node",
      "/proc/sys/kernel",
    ].map((place) => [place, attempt(() => writeFileSync(`${place}/written`, "by the agent\n"))]),
  ),
  containerJson: attempt(() => closeSync(openSync("/workspace/agent/container.json", "r+"))),
  removals: Object.fromEntries(
    ["/workspace/agent/container.json", "/workspace/in"].map((place) => [
      place,
      attempt(() => renameSync(place, `${place}.elsewhere`)),
    ]),
  ),
  programs: Object.fromEntries(
    ["/tmp", "/home/node", "/workspace"].map((place) => [place, attempt(runs(place))]),
  ),
  engineSocket: attempt(() => read("/var/run/docker.sock") ?? openSync("/var/run/docker.sock")),
  rootAgain: attempt(() => process.setuid(0)),
  mounting: attempt(() => execFileSync("mount", ["-t", "tmpfs", "none", "/tmp"], { stdio: "pipe" })),
  namespace: attempt(() => execFileSync("unshare", ["-U", "true"], { stdio: "pipe" })),
  device: attempt(() => execFileSync("mknod", ["/tmp/disk", "b", "8", "0"], { stdio: "pipe" })),
}
mkdirSync("/workspace/outbox/one", { recursive: true })
writeFileSync("/workspace/outbox/one/secret.txt", "for the host\n", { mode: 0o600 })
process.stdout.write(`${JSON.stringify(report)}\n`)
