/**
 * Every default of the sandbox, as the engine says it and as the kernel lets a program in the container feel it; and each way in
 * which a group may loosen one.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ContainerInspectInfo } from "dockerode"
import { Effect, type Scope } from "effect"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { defaultSandbox } from "../../src/domain/ContainerSpec.ts"
import type { ContainerRef, LaunchSpec, RuntimeEvent } from "../../src/services/ContainerRuntime.ts"
import { record, type Runtime } from "../contract/ContainerRuntime.contract.ts"
import { dockerMissing, type DockerWorld, makeDockerWorld } from "../support/DockerWorld.ts"
import { patience } from "../support/Patience.ts"

const MIB = 1024 * 1024
const probeEntry = fileURLToPath(new URL("../support/agents/probe.mjs", import.meta.url))
const hostUser = `${process.getuid?.() || 1_000}:${process.getgid?.() || 1_000}`

interface Probed {
  readonly ids: { readonly user: string; readonly group: string; readonly groups: string }
  readonly capabilities: ReadonlyArray<string>
  readonly noNewPrivileges: string
  readonly seccomp: string
  readonly init: string
  readonly own: ReadonlyArray<string>
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  readonly mounts: Readonly<
    Record<
      string,
      { readonly options: ReadonlyArray<string>; readonly tags: ReadonlyArray<string>; readonly type: string }
    >
  >
  readonly limits: Readonly<Record<string, ReadonlyArray<string>>>
  readonly cgroup: { readonly pids: string; readonly memory: string; readonly cpu: string }
  readonly interfaces: ReadonlyArray<string>
  readonly reach: string
  readonly writes: Readonly<Record<string, string>>
  readonly containerJson: string
  readonly removals: Readonly<Record<string, string>>
  readonly programs: Readonly<Record<string, string>>
  readonly engineSocket: string
  readonly rootAgain: string
  readonly mounting: string
  readonly namespace: string
  readonly device: string
}

const test = (
  title: string,
  body: (world: DockerWorld) => Effect.Effect<void, unknown, Scope.Scope>,
  timeout = patience(30_000),
): void => it.live(title, () => Effect.scoped(Effect.flatMap(makeDockerWorld, body)), timeout)

const inspect = (world: DockerWorld, ref: ContainerRef) =>
  Effect.promise(() => world.engine.docker.getContainer(ref.handle).inspect())

const linesOf = (events: ReadonlyArray<RuntimeEvent>): ReadonlyArray<string> =>
  events.flatMap((event) => (event._tag === "Line" ? [event.line] : []))

/** Runs to the end, and tells what it said and how it ended. */
const run = Effect.fnUntraced(function* (runtime: Runtime, spec: LaunchSpec) {
  const events = yield* record(runtime)
  const ref = yield* runtime.start(spec)
  const exit = yield* events.exit(ref)
  return { ref, exit, lines: linesOf(events.of(ref)) }
})

/** What the probe, as the agent runner, reports. */
const probe = Effect.fnUntraced(function* (world: DockerWorld, change: (spec: LaunchSpec) => LaunchSpec) {
  const runtime = yield* world.openWith({ runnerEntry: probeEntry, sandbox: defaultSandbox })(world.install)
  const spec = change(world.agent("one"))
  const { exit, lines, ref } = yield* run(runtime, spec)
  const { stderr, stdout } = yield* runtime.output(ref, MIB)
  assert.strictEqual(exit.exitCode, 0, stderr)
  assert.strictEqual(lines.length, 1)
  const report = JSON.parse(stdout) as Probed
  return { runtime, ref, spec, report, told: yield* inspect(world, ref) }
})

describe.skipIf(dockerMissing !== null)("the sandbox on a real engine", () => {
  test("by default it has every lock that the engine offers, and the engine says so", (world) =>
    Effect.gen(function* () {
      const { told } = yield* probe(world, (spec) => spec)
      const { Config, HostConfig } = told
      const host = HostConfig as ContainerInspectInfo["HostConfig"] & Readonly<Record<string, unknown>>
      assert.strictEqual(Config.User, hostUser)
      assert.deepStrictEqual(host.CapDrop, ["ALL"])
      assert.isNull(host.CapAdd ?? null)
      assert.deepStrictEqual(host.SecurityOpt, ["no-new-privileges"])
      assert.isFalse(host.Privileged)
      assert.isTrue(host.ReadonlyRootfs)
      assert.isTrue(host.Init)
      assert.strictEqual(host.IpcMode, "private")
      assert.strictEqual(host.NetworkMode, "none")
      assert.notStrictEqual(host.PidMode, "host")
      assert.notStrictEqual(host["UTSMode"], "host")
      assert.strictEqual(host.PidsLimit, defaultSandbox.pids)
      assert.strictEqual(host.Memory, defaultSandbox.memoryBytes)
      assert.strictEqual(host.MemorySwap, defaultSandbox.memoryBytes)
      assert.notStrictEqual(host.OomKillDisable, true)
      assert.strictEqual((host.CpuQuota ?? 0) / (host.CpuPeriod ?? 1), defaultSandbox.cpus)
      assert.deepStrictEqual(
        (host.Ulimits as ReadonlyArray<{ Name: string; Soft: number; Hard: number }>).toSorted((a, b) =>
          a.Name.localeCompare(b.Name),
        ),
        [
          { Name: "core", Soft: 0, Hard: 0 },
          { Name: "fsize", Soft: defaultSandbox.maxFileBytes, Hard: defaultSandbox.maxFileBytes },
          { Name: "nofile", Soft: defaultSandbox.openFiles, Hard: defaultSandbox.openFiles },
        ],
      )
      assert.strictEqual(host.RestartPolicy?.Name, "no")
      assert.isFalse(host.AutoRemove)
      assert.deepStrictEqual(host.Devices ?? [], [])
      assert.strictEqual(host.LogConfig?.Type, "json-file")
      assert.match(host.LogConfig?.Config?.["max-size"] ?? "", /^[1-9][0-9]+$/)
      assert.strictEqual(host.LogConfig?.Config?.["max-file"], "2")
      // Mount objects only: nothing that a colon or a comma in a path could have cut.
      assert.deepStrictEqual(host.Binds ?? [], [])
      for (const mount of told.Mounts) assert.strictEqual(mount.Propagation, "rprivate")
      assert.deepStrictEqual(Object.keys(host.Tmpfs as object).toSorted(), ["/home/node", "/tmp"])
      assert.strictEqual((Config as { readonly StopTimeout?: number }).StopTimeout, 1)
      assert.isFalse(Config.OpenStdin)
      assert.isFalse(Config.AttachStdin)
      assert.isFalse(Config.Tty)
      assert.deepStrictEqual(Config.Entrypoint, ["node", "/app/src/probe.mjs"])
      assert.strictEqual(Config.Labels["io.lamplighter.install"], world.install)
      assert.strictEqual(Config.Labels["io.lamplighter.session"], "one")
    }))

  test("by default a program in it has no capability, no way to more, and an init above it", (world) =>
    Effect.gen(function* () {
      const { report } = yield* probe(world, (spec) => spec)
      const [uid, gid] = hostUser.split(":")
      assert.deepStrictEqual(new Set(report.ids.user.split(/\s+/)), new Set([uid]))
      assert.deepStrictEqual(new Set(report.ids.group.split(/\s+/)), new Set([gid]))
      for (const set of report.capabilities) assert.match(set, /^0+$/)
      assert.strictEqual(report.noNewPrivileges, "1")
      assert.strictEqual(report.seccomp, "2")
      assert.strictEqual(report.init, "docker-init")
      for (const way of ["rootAgain", "mounting", "namespace", "device", "engineSocket"] as const)
        assert.notStrictEqual(report[way], "done", way)
    }))

  test("by default only its own places can be written, and nothing in /tmp runs", (world) =>
    Effect.gen(function* () {
      const { report, spec } = yield* probe(world, (other) => other)
      const writable = Object.entries(report.writes)
        .filter(([, how]) => how === "done")
        .map(([place]) => place)
      assert.deepStrictEqual(writable, ["/workspace", "/workspace/agent", "/tmp", "/home/node"])
      assert.strictEqual(report.writes["/"], "EROFS")
      assert.strictEqual(report.writes["/workspace/in"], "EROFS")
      assert.notStrictEqual(report.containerJson, "done")
      for (const place of [
        "/",
        "/workspace/in",
        "/workspace/agent/container.json",
        "/workspace/global",
        "/app/src",
      ])
        assert.include(report.mounts[place]?.options ?? [], "ro", place)
      // Nor can what the host composed be put out of the way.
      assert.deepStrictEqual(report.removals, {
        "/workspace/agent/container.json": "EBUSY",
        "/workspace/in": "EBUSY",
      })
      assert.strictEqual(report.programs["/tmp"], "EACCES")
      assert.strictEqual(report.programs["/home/node"], "done")
      for (const place of ["/tmp", "/home/node"]) {
        assert.strictEqual(report.mounts[place]?.type, "tmpfs")
        assert.includeMembers([...(report.mounts[place]?.options ?? [])], ["nosuid", "nodev"])
      }
      assert.include(report.mounts["/tmp"]?.options ?? [], "noexec")
      for (const [place, mount] of Object.entries(report.mounts))
        for (const tag of mount.tags) assert.notMatch(tag, /^shared:/, place)
      assert.strictEqual(readFileSync(join(spec.outDir, "written"), "utf8"), "by the agent\n")
      assert.strictEqual(readFileSync(join(spec.groupDir, "written"), "utf8"), "by the agent\n")
      assert.isFalse(existsSync(join(spec.inDir, "written")))
    }))

  test("by default it reaches no network", (world) =>
    Effect.gen(function* () {
      const { report } = yield* probe(world, (spec) => spec)
      assert.deepStrictEqual(
        report.interfaces.filter((name) => name !== "lo"),
        [],
      )
      assert.strictEqual(report.reach, "ENETUNREACH")
    }))

  test("the limits of the specification are those that the kernel holds", (world) =>
    Effect.gen(function* () {
      const { report } = yield* probe(world, (spec) => spec)
      assert.strictEqual(report.cgroup.pids, String(defaultSandbox.pids))
      assert.strictEqual(report.cgroup.memory, String(defaultSandbox.memoryBytes))
      assert.strictEqual(report.cgroup.cpu.split(" ")[0], String(defaultSandbox.cpus * 100_000))
      const both = (name: string) => report.limits[name]?.slice(0, 2)
      assert.deepStrictEqual(both("Max open files"), ["4096", "4096"])
      assert.deepStrictEqual(both("Max core file size"), ["0", "0"])
      assert.deepStrictEqual(both("Max file size"), [
        String(defaultSandbox.maxFileBytes),
        String(defaultSandbox.maxFileBytes),
      ])
    }))

  test("what an agent keeps to itself in out/ the host reads all the same", (world) =>
    Effect.gen(function* () {
      const { spec } = yield* probe(world, (other) => other)
      const secret = join(spec.outDir, "outbox", "one", "secret.txt")
      assert.strictEqual(readFileSync(secret, "utf8"), "for the host\n")
      assert.strictEqual(`${statSync(secret).uid}:${statSync(secret).gid}`, hostUser)
    }))

  test("it runs the runner with its environment and nothing of the host's", (world) =>
    Effect.gen(function* () {
      const { report } = yield* probe(world, (spec) => ({ ...spec, env: { TZ: "Asia/Tokyo" } }))
      assert.strictEqual(report.workdir, "/workspace")
      assert.strictEqual(report.env["TZ"], "Asia/Tokyo")
      assert.strictEqual(report.env["HOME"], "/home/node")
      for (const name of Object.keys(report.env))
        assert.include(["TZ", "HOME", "PATH", "HOSTNAME", "NODE_VERSION", "YARN_VERSION", "NODE_ENV"], name)
    }))

  test("a fork bomb stops at the limit of processes, and a kill ends all of it", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const events = yield* record(runtime)
      const ref = yield* runtime.start(
        world.program(
          "one",
          [
            "bash",
            "-c",
            "mkfifo /tmp/never; echo lit; bomb() { bomb | bomb & }; bomb; read -rt 60 _ <> /tmp/never",
          ],
          {
            pids: 40,
            memoryBytes: 512 * MIB,
          },
        ),
      )
      yield* events.line(ref, "lit")
      const current = Effect.promise(async () => {
        const stats = await world.engine.docker
          .getContainer(ref.handle)
          .stats({ stream: false, "one-shot": true })
        return stats.pids_stats?.current ?? 0
      })
      let most = 0
      for (let asked = 0; asked < 40 && most < 40; asked++) {
        most = Math.max(most, yield* current)
        yield* Effect.sleep("50 millis")
      }
      assert.strictEqual(most, 40)
      yield* runtime.kill(ref)
      const exit = yield* events.exit(ref)
      assert.strictEqual(exit.exitCode, 137)
      assert.isFalse(exit.oomKilled)
    }))

  test("one that needs a process too many is refused it, and goes on", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const many = `
        const { spawn } = require("node:child_process")
        let born = 0
        const more = () => spawn("sleep", ["60"])
          .on("error", (error) => { console.log(error.code, born < 40 ? "bounded" : "unbounded"); process.exit(0) })
          .on("spawn", () => { born += 1; more() })
        more()`
      const { exit, lines } = yield* run(runtime, world.program("one", ["node", "-e", many], { pids: 40 }))
      assert.deepStrictEqual(lines, ["EAGAIN bounded"])
      assert.strictEqual(exit.exitCode, 0)
    }))

  test("one that takes more memory than it has ends, and its exit says why", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const { exit, lines } = yield* run(
        runtime,
        world.program(
          "one",
          [
            "node",
            "-e",
            `console.log("greedy"); const all = []; for (;;) all.push(Buffer.alloc(8 * ${MIB}, 1))`,
          ],
          { memoryBytes: 64 * MIB },
        ),
      )
      assert.deepStrictEqual(lines, ["greedy"])
      assert.isTrue(exit.oomKilled)
      assert.strictEqual(exit.exitCode, 137)
      assert.isUndefined(exit.stoppedBy)
      const [status] = yield* runtime.list
      assert.isTrue(status?._tag === "Exited" && status.exit.oomKilled)
    }))

  test("one that loses only a tool to the limit of memory goes on, and its end is its own", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const lossy = `
        const { spawnSync } = require("node:child_process")
        const greedy = "const all = []; for (;;) all.push(Buffer.alloc(8 * ${MIB}, 1))"
        const { signal } = spawnSync("node", ["-e", greedy])
        console.log("tool", signal)
        process.exit(9)`
      const { exit, lines } = yield* run(
        runtime,
        world.program("one", ["node", "-e", lossy], { memoryBytes: 128 * MIB }),
      )
      assert.deepStrictEqual(lines, ["tool SIGKILL"])
      assert.strictEqual(exit.exitCode, 9)
      assert.isFalse(exit.oomKilled)
    }))

  test("files, descriptors and scratch space end where the limits say", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const eager = `
        const fs = require("node:fs")
        const until = (what, action) => { try { for (let n = 0; n < 10000; n++) action() } catch (error) { console.log(what, error.code) } }
        const block = Buffer.alloc(1024 * 1024)
        const big = fs.openSync("/workspace/big", "w")
        process.on("SIGXFSZ", () => {})
        until("file", () => fs.writeSync(big, block))
        const scratch = []
        until("tmp", () => fs.writeFileSync("/tmp/" + scratch.push(0), block))
        until("home", () => fs.writeFileSync("/home/node/" + scratch.push(0), block))
        until("descriptors", () => fs.openSync("/dev/null"))`
      const spec = world.program("one", ["node", "-e", eager], {
        maxFileBytes: 3 * MIB,
        temporaryBytes: 5 * MIB,
        homeBytes: 4 * MIB,
        openFiles: 128,
      })
      const { exit, lines } = yield* run(runtime, spec)
      assert.strictEqual(exit.exitCode, 0)
      assert.deepStrictEqual(lines, ["file EFBIG", "tmp ENOSPC", "home ENOSPC", "descriptors EMFILE"])
      assert.strictEqual(statSync(join(spec.outDir, "big")).size, 3 * MIB)
    }))

  test("a group can have a writable root, another user and another command", (world) =>
    Effect.gen(function* () {
      const runtime = yield* world.open(world.install)
      const spec = world.program(
        "one",
        [
          "sh",
          "-c",
          'id -u; id -g; touch /var/tmp/x && echo kept; echo "$HOME"; test -w / || echo "root is not mine"',
        ],
        { rootFilesystem: "writable", user: "4321:4322" },
      )
      const { exit, lines, ref } = yield* run(runtime, spec)
      assert.strictEqual(exit.exitCode, 0)
      assert.deepStrictEqual(lines, ["4321", "4322", "kept", "/home/node", "root is not mine"])
      const told = yield* inspect(world, ref)
      assert.isFalse(told.HostConfig.ReadonlyRootfs)
      assert.strictEqual(told.Config.User, "4321:4322")
      // What was not asked for stays.
      assert.deepStrictEqual(told.HostConfig.CapDrop, ["ALL"])
      assert.strictEqual(told.HostConfig.NetworkMode, "none")
      assert.strictEqual(statSync(spec.outDir).uid, process.getuid?.() === 0 ? 4_321 : process.getuid?.())
    }))

  test("a group can have a network of the engine, and then has an interface of it", (world) =>
    Effect.gen(function* () {
      const name = `lamplighter-${world.install}`
      yield* Effect.acquireRelease(
        Effect.sync(() => world.docker("network", "create", "--internal", name)),
        () =>
          Effect.sync(() => {
            for (const id of world.docker("ps", "-aq", "--filter", `network=${name}`).split("\n"))
              if (id !== "") world.docker("rm", "-f", id)
            world.docker("network", "rm", name)
          }),
      )
      const { report, told } = yield* probe(world, (spec) => ({ ...spec, sandbox: { network: name } }))
      assert.strictEqual(told.HostConfig.NetworkMode, name)
      assert.strictEqual(report.interfaces.filter((one) => one !== "lo").length, 1)
      // Internal: a network is no way out by itself.
      assert.notStrictEqual(report.reach, "connected")
      for (const set of report.capabilities) assert.match(set, /^0+$/)
    }))

  test("an additional mount is there as it was allowed, whatever its path looks like", (world) =>
    Effect.gen(function* () {
      const odd = join(world.directory, "a:b,readonly=0")
      mkdirSync(odd, { mode: 0o755 })
      writeFileSync(join(odd, "note.txt"), "from the host\n", { mode: 0o644 })
      const runtime = yield* world.open(world.install)
      const spec = {
        ...world.program("one", [
          "sh",
          "-c",
          "cat /workspace/extra/note.txt; touch /workspace/extra/x || echo refused",
        ]),
        binds: [{ source: odd, target: "/workspace/extra", access: "read-only" as const }],
      }
      const { exit, lines } = yield* run(runtime, spec)
      assert.strictEqual(exit.exitCode, 0)
      assert.deepStrictEqual(lines, ["from the host", "refused"])
      assert.isFalse(existsSync(join(odd, "x")))
    }))
})
