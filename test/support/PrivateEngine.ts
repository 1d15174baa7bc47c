/**
 * A Docker engine of a test's own, that can be stopped, killed and filled up without anybody else noticing. It lives in a network
 * namespace of its own, because an engine that starts takes the bridge of another one away.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { baseImage, dockerMissing, dockerRequired } from "./DockerWorld.ts"

const whyNot = (): string | null => {
  if (dockerMissing !== null) return dockerMissing
  if (process.getuid?.() !== 0) return "an engine of one's own needs root"
  for (const program of ["dockerd", "unshare", "mount", "umount"])
    if (!(process.env["PATH"] ?? "").split(":").some((place) => existsSync(join(place, program))))
      return `there is no ${program}`
  return null
}

/** Null where the tests can run. */
export const privateEngineMissing: string | null = whyNot()
if (privateEngineMissing !== null) {
  if (dockerRequired) throw new Error(privateEngineMissing)
  process.stderr.write(`tests on an engine of their own are skipped: ${privateEngineMissing}\n`)
}

const DATA_BYTES = 1_200 * 1024 * 1024

export interface PrivateEngine {
  readonly socketPath: string
  /** Holds everything that the engine keeps; a file system of its own. */
  readonly dataDir: string
  readonly docker: (...parts: ReadonlyArray<string>) => string
  readonly start: Effect.Effect<void>
  /** As the host's service manager stops it: returns when it is gone. */
  readonly stop: Effect.Effect<void>
  /** SIGKILL: what it started goes on. */
  readonly kill: Effect.Effect<void>
}

export interface PrivateEngineOptions {
  readonly containersOnRestart: "stop" | "keep"
}

export const makePrivateEngine = Effect.fnUntraced(function* (options: PrivateEngineOptions) {
  const directory = mkdtempSync(join(tmpdir(), "lamplighter-dockerd-"))
  const socketPath = join(directory, "engine.sock")
  const dataDir = join(directory, "data")
  const pidFile = join(directory, "pid")
  mkdirSync(dataDir)
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DATA_BYTES}`, "lamplighter-test", dataDir])
  let daemon: ChildProcess | null = null

  const docker = (...parts: ReadonlyArray<string>): string =>
    execFileSync("docker", ["-H", `unix://${socketPath}`, ...parts], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
    })

  const answers = (): boolean => {
    try {
      docker("version")
      return true
    } catch {
      return false
    }
  }

  const start = Effect.gen(function* () {
    // What was killed may still have an entry in the process table, where nobody reaps; an engine takes that for a life.
    for (const stale of [pidFile, join(directory, "exec", "containerd", "containerd.pid")])
      rmSync(stale, { force: true })
    const log = openSync(join(directory, "log"), "a")
    const started = spawn(
      "unshare",
      [
        "--net",
        "dockerd",
        `--data-root=${dataDir}`,
        `--exec-root=${join(directory, "exec")}`,
        `--pidfile=${pidFile}`,
        `--host=unix://${socketPath}`,
        "--bridge=none",
        "--iptables=false",
        "--shutdown-timeout=2",
        ...(options.containersOnRestart === "keep" ? ["--live-restore"] : []),
      ],
      { stdio: ["ignore", log, log] },
    )
    daemon = started
    while (!answers()) {
      if (started.exitCode !== null)
        return yield* Effect.die(new Error(readFileSync(join(directory, "log"), "utf8").slice(-2_000)))
      yield* Effect.sleep("100 millis")
    }
  }).pipe(
    Effect.timeoutOrElse({
      duration: "30 seconds",
      orElse: () => Effect.die(new Error(readFileSync(join(directory, "log"), "utf8").slice(-2_000))),
    }),
  )

  const end = (signal: "SIGTERM" | "SIGKILL") =>
    Effect.callback<void>((resume) => {
      const ending = daemon
      daemon = null
      if (ending === null || ending.exitCode !== null) return resume(Effect.void)
      ending.once("exit", () => resume(Effect.void))
      // `unshare` became the engine: it is the very process.
      ending.kill(signal)
    })

  /** What an engine leaves mounted when it ends. */
  const mountsBelow = (): ReadonlyArray<string> =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .flatMap((line) => line.split(" ")[4] ?? [])
      .filter((place) => place.startsWith(`${directory}/`))
      .toReversed()

  const shims = (): ReadonlyArray<number> =>
    readdirSync("/proc").flatMap((entry) => {
      if (!/^[0-9]+$/.test(entry)) return []
      try {
        return readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(directory) ? [Number(entry)] : []
      } catch {
        return []
      }
    })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      if (daemon === null) yield* Effect.ignore(start)
      const left = answers()
        ? docker("ps", "-aq")
            .split("\n")
            .filter((id) => id !== "")
        : []
      if (left.length > 0) docker("rm", "-f", ...left)
      yield* end("SIGTERM")
      for (const pid of shims()) process.kill(pid, "SIGKILL")
      for (const place of mountsBelow()) execFileSync("umount", ["--lazy", place])
      rmSync(directory, { recursive: true, force: true })
    }),
  )

  yield* start
  execFileSync("sh", ["-c", `docker save ${baseImage} | docker -H unix://${socketPath} load`], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
  })

  const engine: PrivateEngine = {
    socketPath,
    dataDir,
    docker,
    start,
    stop: end("SIGTERM"),
    kill: end("SIGKILL"),
  }
  return engine
})
