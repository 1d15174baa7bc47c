import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { completed, type DockerDaemon, dockerDaemon, reported, sendTo } from "../support/DockerDaemon.ts"
import { baseImage, dockerCommand, dockerMissing } from "../support/DockerWorld.ts"
import { addGroup, api, report, sendText } from "../support/LiveDaemon.ts"
import { patience } from "../support/Patience.ts"

const LIMIT_MS = patience(120_000)

const shell = (script: string): readonly [string, ...Array<string>] => ["/bin/sh", "-c", script]

/** Notes each start in the group's folder, which host and container share, and answers when the host has put a file there. */
const waiting = shell(
  `cd /workspace/agent; echo x >>started; until [ -e go ]; do sleep 0.05; done; echo done`,
)

const groupFile = (daemon: DockerDaemon, name: string): string =>
  path.join(daemon.dataDir, "groups", "g1", name)

const started = (daemon: DockerDaemon): number => {
  try {
    return fs.readFileSync(groupFile(daemon, "started"), "utf8").length / 2
  } catch {
    return 0
  }
}

const holds = Effect.fnUntraced(function* (what: string, look: () => boolean) {
  const deadline = Date.now() + patience(30_000)
  while (!look()) {
    if (Date.now() > deadline) return yield* Effect.die(new Error(`it never held that ${what}`))
    yield* Effect.sleep(20)
  }
})

const textsOf = (answers: ReadonlyArray<{ readonly content: string }>) =>
  answers.map(({ content }) => (JSON.parse(content) as { readonly text: string }).text)

const sessions = (daemon: DockerDaemon) => Effect.flatMap(api(daemon), (http) => http.sessions({}))

const lives = (daemon: DockerDaemon, id: string) =>
  Effect.gen(function* () {
    const http = yield* api(daemon)
    const { message } = yield* report(daemon, id)
    return (yield* http.session({ id: message.sessionId })).incarnations
  })

/** The agent image, there from the start, so that a test is not about building it. */
const withImage = (daemon: DockerDaemon): void => void dockerCommand("tag", baseImage, daemon.image)

const imageIs = (tag: string): boolean => spawnSync("docker", ["image", "inspect", tag]).status === 0

/** A base whose heirs take for ever to build; the tag in the command tells this build from those of others. */
const hangingBase = (daemon: DockerDaemon): string =>
  daemon.derive("hanging", `ONBUILD RUN sleep 600; : ${daemon.image}`)

const isBuilding = (daemon: DockerDaemon): boolean =>
  dockerCommand("ps", "--no-trunc", "--format", "{{.Command}}").includes(`: ${daemon.image}`)

const count = (text: string, part: string): number => text.split(part).length - 1

describe.skipIf(dockerMissing !== null)("the main path, on a real engine", () => {
  it.live(
    "answers from inside a hardened container, and leaves none behind at a clean shutdown",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const child = yield* Effect.promise(() => daemon.up())
        yield* addGroup(
          daemon,
          shell(
            "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' ';" +
              "touch /x 2>/dev/null || echo no root; touch /workspace/in/x 2>/dev/null || echo no in;" +
              "touch /workspace/agent/container.json 2>/dev/null || echo no container.json;" +
              "touch /app/src/x 2>/dev/null || echo no src; ls /sys/class/net",
          ),
        )
        yield* sendText(daemon, "m1", "who are you?")
        const { answers, message } = yield* reported(daemon, "m1", completed)
        assert.strictEqual(message.tries, 0)
        assert.deepStrictEqual(textsOf(answers)[0]?.split("\n"), [
          "1000",
          "CapEff: 0000000000000000",
          "CapBnd: 0000000000000000",
          "NoNewPrivs: 1",
          "Seccomp: 2",
          "no root",
          "no in",
          "no container.json",
          "no src",
          "lo",
        ])
        assert.strictEqual(daemon.containers().length, 1)
        child.kill("SIGTERM")
        assert.strictEqual(yield* Effect.promise(() => daemon.ended(child)), 0)
        assert.deepStrictEqual(daemon.containers(), [])
      }),
    LIMIT_MS,
  )

  it.live(
    "runs a recurring task in one container, each slot once",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        withImage(daemon)
        yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, null)
        const http = yield* api(daemon)
        const task = yield* http.addTask({
          groupId: "g1" as never,
          schedule: "every 1s",
          prompt: "tick",
          name: null,
          script: null,
          zone: null,
          ttlMs: null,
        })
        const deadline = Date.now() + patience(60_000)
        let runs = yield* http.runs({ taskId: task.id })
        while (runs.filter(({ outcome }) => outcome === "completed").length < 3) {
          if (Date.now() > deadline)
            return yield* Effect.die(new Error(`only these: ${JSON.stringify(runs)}`))
          yield* Effect.sleep(50)
          runs = yield* http.runs({ taskId: task.id })
        }
        assert.strictEqual(new Set(runs.map(({ slot }) => slot)).size, runs.length)
        assert.strictEqual(daemon.containers().length, 1)
      }),
    LIMIT_MS,
  )

  it.live(
    "retries what a killed container left, and counts exactly one try",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        withImage(daemon)
        yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, waiting)
        yield* sendText(daemon, "m1", "work")
        yield* holds("the agent works", () => started(daemon) === 1)
        dockerCommand("kill", ...daemon.containers())
        yield* reported(daemon, "m1", ({ message }) => message.tries === 1)
        fs.writeFileSync(groupFile(daemon, "go"), "")
        const { answers, message } = yield* reported(daemon, "m1", completed)
        assert.deepStrictEqual([message.tries, message.attempts], [1, 2])
        assert.deepStrictEqual(textsOf(answers), ["done"])
        assert.strictEqual(started(daemon), 2)
        const killed = (yield* lives(daemon, "m1")).at(-1)
        const log = fs.readFileSync(killed?.logFile ?? "", "utf8")
        for (const part of [
          "signal: SIGKILL",
          `image: ${daemon.image}`,
          "digest: sha256:",
          "limits: memory 256 MiB",
          "at /workspace/in, read-only",
          "--- output",
        ])
          assert.include(log, part)
      }),
    LIMIT_MS,
  )

  it.live(
    "kills an agent that hangs, and tries again",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        withImage(daemon)
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_POLL_INTERVAL_MS: "200" }))
        yield* addGroup(daemon, waiting, { ceilingMs: 2_000, declaredTimeoutCapMs: 2_000 })
        yield* sendText(daemon, "m1", "work")
        yield* reported(daemon, "m1", ({ message }) => message.tries === 1)
        fs.writeFileSync(groupFile(daemon, "go"), "")
        const { message } = yield* reported(daemon, "m1", completed)
        assert.isAtLeast(message.attempts, 2)
        assert.match((yield* lives(daemon, "m1")).at(-1)?.reason ?? "", /ceiling|claim/)
      }),
    LIMIT_MS,
  )

  it.live(
    "tells a container that ran out of memory from one that was killed",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        withImage(daemon)
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_MEMORY_BYTES: "128 MiB" }))
        // The kernel is told to take the runner, not the hog, so that the container itself ends. The hog is a small program that keeps
        // what it reads: one whose own code is large would long be paged in and out at the limit instead.
        yield* addGroup(
          daemon,
          shell(
            "cd /workspace/agent; if [ -e second ]; then echo enough; exit; fi; touch second;" +
              "for p in /proc/[0-9]*; do echo 1000 >$p/oom_score_adj; done 2>/dev/null; echo 0 >/proc/self/oom_score_adj;" +
              "exec tail /dev/zero",
          ),
        )
        yield* sendText(daemon, "m1", "remember everything")
        const { answers, message } = yield* reported(daemon, "m1", completed)
        assert.strictEqual(message.tries, 1)
        assert.deepStrictEqual(textsOf(answers), ["enough"])
        const all = yield* lives(daemon, "m1")
        assert.deepStrictEqual(
          all.map(({ oomKilled }) => oomKilled),
          [false, true],
          JSON.stringify(all),
        )
        assert.include(all[1]?.error ?? "", "killed for want of memory (its limit is 128 MiB)")
      }),
    LIMIT_MS,
  )

  it.live(
    "finds its container again after kill -9 of the daemon, undisturbed, and delivers its answer",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        withImage(daemon)
        const first = yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, waiting)
        yield* sendText(daemon, "m1", "work")
        yield* holds("the agent works", () => started(daemon) === 1)
        const before = daemon.containers()
        assert.strictEqual(before.length, 1)
        first.kill("SIGKILL")
        assert.strictEqual(yield* Effect.promise(() => daemon.ended(first)), "SIGKILL")
        assert.deepStrictEqual(daemon.containers(), before)
        fs.writeFileSync(groupFile(daemon, "go"), "")
        yield* Effect.promise(() => daemon.up())
        const { answers, message } = yield* reported(daemon, "m1", completed)
        assert.deepStrictEqual([message.tries, message.attempts], [0, 1])
        assert.deepStrictEqual(textsOf(answers), ["done"])
        assert.strictEqual(started(daemon), 1)
        assert.deepStrictEqual(daemon.containers(), before)
      }),
    LIMIT_MS,
  )

  it.live(
    "builds a pruned image once, however many sessions want it, and answers all of them",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, null)
        yield* sendTo(daemon, "t0", "m0", "before")
        yield* reported(daemon, "m0", completed)
        assert.strictEqual(count(daemon.said(), "building it from"), 1)
        dockerCommand("rmi", "-f", daemon.image)
        assert.isFalse(imageIs(daemon.image))
        const names = ["1", "2", "3", "4", "5"]
        for (const name of names) yield* sendTo(daemon, `t${name}`, `m${name}`, `hello ${name}`)
        for (const name of names) {
          const { answers, message } = yield* reported(daemon, `m${name}`, completed)
          assert.strictEqual(message.tries, 0)
          assert.deepStrictEqual(textsOf(answers), [`echo: hello ${name}`])
        }
        assert.strictEqual(count(daemon.said(), "building it from"), 2, daemon.said())
        assert.deepStrictEqual(
          (yield* sessions(daemon)).map(({ wakeFailures }) => wakeFailures),
          names.concat("0").map(() => 0),
        )
      }),
    LIMIT_MS,
  )

  it.live(
    "keeps a message through a build that fails, says why, and answers once the image is there",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const broken = daemon.derive("broken", "ONBUILD RUN echo the mirror is gone && exit 3")
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_BASE_IMAGE: broken }))
        yield* addGroup(daemon, null)
        yield* sendText(daemon, "m1", "hello")
        const { message, wakeError } = yield* reported(daemon, "m1", (found) => found.wakeError !== null)
        assert.deepStrictEqual([message.state, message.tries], ["pending", 0])
        assert.include(wakeError ?? "", "the mirror is gone")
        assert.include(wakeError ?? "", daemon.image)
        assert.deepStrictEqual(daemon.containers(), [])
        // Looks that come before the build's own backoff is over build nothing.
        yield* reported(daemon, "m1", (found) => /failed builds in a row/.test(found.wakeError ?? ""))
        assert.strictEqual(count(daemon.said(), "building it from"), 1)
        withImage(daemon)
        const { message: answered } = yield* reported(daemon, "m1", completed)
        assert.strictEqual(answered.tries, 0)
      }),
    LIMIT_MS,
  )

  it.live(
    "gives up a build that hangs, while other groups are answered",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const hanging = hangingBase(daemon)
        yield* Effect.promise(() =>
          daemon.up({ LAMPLIGHTER_DOCKER_BASE_IMAGE: hanging, LAMPLIGHTER_DOCKER_BUILD_TIMEOUT_MS: "8s" }),
        )
        yield* addGroup(daemon, null)
        const http = yield* api(daemon)
        const group = yield* http.group({ id: "g1" as never })
        const { createdAt: _createdAt, revision: _revision, ...settings } = group
        yield* http.addGroup({ ...settings, id: "g2" as never, imageTag: baseImage })
        yield* sendText(daemon, "m1", "hello")
        yield* holds("the build runs", () => isBuilding(daemon))
        yield* http.send({
          id: "m2" as never,
          groupId: "g2" as never,
          kind: "chat",
          content: { text: "beside it" },
        })
        const beside = yield* reported(daemon, "m2", completed)
        assert.deepStrictEqual(textsOf(beside.answers), ["echo: beside it"])
        assert.isNull((yield* report(daemon, "m1")).wakeError, "the build was still running")
        const { message, wakeError } = yield* reported(daemon, "m1", (found) => found.wakeError !== null)
        assert.deepStrictEqual([message.state, message.tries], ["pending", 0])
        assert.include(wakeError ?? "", "took longer than 8000 ms")
        yield* holds("the engine has stopped the build", () => !isBuilding(daemon))
      }),
    LIMIT_MS,
  )

  it.live(
    "stops at once when it is told to in the middle of a build",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const hanging = hangingBase(daemon)
        const child = yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_BASE_IMAGE: hanging }))
        yield* addGroup(daemon, null)
        yield* sendText(daemon, "m1", "hello")
        yield* holds("the build runs", () => isBuilding(daemon))
        child.kill("SIGTERM")
        assert.strictEqual(yield* Effect.promise(() => daemon.ended(child)), 0)
        yield* holds("the engine has stopped the build", () => !isBuilding(daemon))
        withImage(daemon)
        yield* Effect.promise(() => daemon.up())
        const { message } = yield* reported(daemon, "m1", completed)
        assert.strictEqual(message.tries, 0)
      }),
    LIMIT_MS,
  )

  it.live(
    "builds again after kill -9 in the middle of a build, and no message pays for it",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const hanging = hangingBase(daemon)
        const first = yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_BASE_IMAGE: hanging }))
        yield* addGroup(daemon, null)
        yield* sendText(daemon, "m1", "hello")
        yield* holds("the build runs", () => isBuilding(daemon))
        first.kill("SIGKILL")
        yield* Effect.promise(() => daemon.ended(first))
        yield* holds("the engine has stopped the build", () => !isBuilding(daemon))
        yield* Effect.promise(() => daemon.up())
        const { message } = yield* reported(daemon, "m1", completed)
        assert.deepStrictEqual([message.tries, message.attempts], [0, 1])
        assert.isTrue(imageIs(daemon.image))
      }),
    LIMIT_MS,
  )

  it.live(
    "never builds an image that is not its own, and says what to do",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, null)
        const http = yield* api(daemon)
        yield* http.updateGroup({
          id: "g1" as never,
          imageTag: "somebody.example.org/agents:1",
        })
        yield* sendText(daemon, "m1", "hello")
        const { message, wakeError } = yield* reported(daemon, "m1", (found) => found.wakeError !== null)
        assert.deepStrictEqual([message.state, message.tries], ["pending", 0])
        assert.include(wakeError ?? "", "somebody.example.org/agents:1")
        assert.include(wakeError ?? "", "pull or build it")
        assert.notInclude(daemon.said(), "building it from")
      }),
    LIMIT_MS,
  )
})
