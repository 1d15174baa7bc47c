/**
 * The whole daemon while its engine is down, silent, or restarted under working agents: messages are accepted and wait, nobody pays
 * for it, and they are answered once the engine is back, without anybody's help.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { completed, type DockerDaemon, dockerDaemon, reported, sendTo } from "../support/DockerDaemon.ts"
import { baseImage, dockerCommand, dockerMissing } from "../support/DockerWorld.ts"
import { engineSocket, makeEngineProxy } from "../support/EngineProxy.ts"
import { addGroup, api, report } from "../support/LiveDaemon.ts"
import { makePrivateEngine, privateEngineMissing } from "../support/PrivateEngine.ts"
import { patience } from "../support/Patience.ts"

const LIMIT_MS = patience(120_000)
const CREATE = "POST /containers/create"
const THREADS = ["a", "b", "c", "d", "e", "f"]

const timeouts = {
  LAMPLIGHTER_DOCKER_CALL_TIMEOUT_MS: "2000",
  LAMPLIGHTER_DOCKER_CHANGE_TIMEOUT_MS: "4000",
}

const count = (text: string, part: string): number => text.split(part).length - 1

const until = Effect.fnUntraced(function* (what: string, holds: () => boolean) {
  const deadline = Date.now() + patience(60_000)
  while (!holds()) {
    if (Date.now() > deadline) return yield* Effect.die(new Error(`it never held that ${what}`))
    yield* Effect.sleep(20)
  }
})

const allAnswered = (daemon: DockerDaemon) =>
  Effect.gen(function* () {
    for (const thread of THREADS) {
      const { message } = yield* reported(daemon, `m-${thread}`, completed)
      assert.strictEqual(message.tries, 0, thread)
    }
  })

describe.skipIf(dockerMissing !== null)("a daemon whose engine is in trouble", () => {
  it.live(
    "starts without it, accepts what is sent, and answers once it is up",
    () =>
      Effect.gen(function* () {
        const proxy = yield* makeEngineProxy(engineSocket)
        const daemon = yield* dockerDaemon
        dockerCommand("tag", baseImage, daemon.image)
        yield* proxy.refuse
        yield* Effect.promise(() => daemon.up({ ...timeouts, LAMPLIGHTER_DOCKER_SOCKET: proxy.socketPath }))
        yield* addGroup(daemon, null)
        for (const thread of THREADS) yield* sendTo(daemon, thread, `m-${thread}`, "hello")
        yield* until("the log says what is awaited", () =>
          daemon.said().includes("the list of containers fails"),
        )
        assert.strictEqual((yield* report(daemon, "m-a")).message.state, "pending")
        const http = yield* api(daemon)
        assert.include((yield* http.status()).runtimeDown?.why ?? "", "can't be listed")
        yield* proxy.listen
        yield* allAnswered(daemon)
        assert.strictEqual(proxy.requests.filter((request) => request === CREATE).length, THREADS.length)
      }),
    LIMIT_MS,
  )

  it.live(
    "tries with one session at a time while it is down, says so, and goes on by itself",
    () =>
      Effect.gen(function* () {
        const proxy = yield* makeEngineProxy(engineSocket)
        const daemon = yield* dockerDaemon
        dockerCommand("tag", baseImage, daemon.image)
        yield* Effect.promise(() => daemon.up({ ...timeouts, LAMPLIGHTER_DOCKER_SOCKET: proxy.socketPath }))
        yield* addGroup(daemon, null)
        yield* sendTo(daemon, "first", "first", "hello")
        yield* reported(daemon, "first", completed)
        yield* proxy.refuse
        yield* sendTo(daemon, "a", "m-a", "hello")
        yield* until("the log says that it is down", () => daemon.said().includes("the runtime is down"))
        for (const thread of THREADS.slice(1)) yield* sendTo(daemon, thread, `m-${thread}`, "hello")
        const before = count(daemon.said(), "the runtime is down")
        yield* until("it was tried again", () => count(daemon.said(), "the runtime is down") > before)
        // One probe, then the next: not one for each of the six that wait.
        assert.isAtMost(count(daemon.said(), "the runtime is down"), before + 1)
        const http = yield* api(daemon)
        const { runtimeDown } = yield* http.status()
        assert.include(runtimeDown?.why ?? "", "is the engine running")
        assert.isAtLeast(runtimeDown?.failures ?? 0, 2)
        yield* proxy.listen
        yield* allAnswered(daemon)
        assert.isNull((yield* http.status()).runtimeDown)
      }),
    LIMIT_MS,
  )

  it.live(
    "waits for one that answers nothing, answers its own users meanwhile, and goes on by itself",
    () =>
      Effect.gen(function* () {
        const proxy = yield* makeEngineProxy(engineSocket)
        const daemon = yield* dockerDaemon
        dockerCommand("tag", baseImage, daemon.image)
        yield* Effect.promise(() => daemon.up({ ...timeouts, LAMPLIGHTER_DOCKER_SOCKET: proxy.socketPath }))
        yield* addGroup(daemon, null)
        yield* sendTo(daemon, "first", "first", "hello")
        yield* reported(daemon, "first", completed)
        proxy.treat(() => "hang")
        proxy.forget()
        yield* sendTo(daemon, "a", "m-a", "hello")
        yield* until("a start hangs", () => proxy.requests.includes(CREATE))
        for (const thread of THREADS.slice(1)) yield* sendTo(daemon, thread, `m-${thread}`, "hello")
        const http = yield* api(daemon)
        for (let asked = 0; asked < 50; asked++) {
          yield* http.status()
          yield* Effect.sleep(50)
        }
        let { runtimeDown } = yield* http.status()
        while (runtimeDown === null) ({ runtimeDown } = yield* http.status())
        assert.include(runtimeDown.why, "did not answer")
        proxy.treat(() => "pass")
        yield* allAnswered(daemon)
      }),
    LIMIT_MS,
  )
})

describe.skipIf(privateEngineMissing !== null)("a daemon whose engine is restarted", () => {
  it.live(
    "has what its agents worked on done again, and no message pays for it",
    () =>
      Effect.gen(function* () {
        const engine = yield* makePrivateEngine({ containersOnRestart: "stop" })
        const daemon = yield* dockerDaemon
        engine.docker("tag", baseImage, daemon.image)
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_SOCKET: engine.socketPath }))
        yield* addGroup(daemon, [
          "/bin/sh",
          "-c",
          "trap : TERM; cd /workspace/agent; echo x >>started; until [ -e go ]; do sleep 0.05; done; echo done",
        ])
        yield* sendTo(daemon, "a", "m-a", "hello")
        const file = (name: string) => path.join(daemon.dataDir, "groups", "g1", name)
        const starts = () =>
          fs.existsSync(file("started")) ? fs.readFileSync(file("started"), "utf8").length / 2 : 0
        yield* until("the agent works", () => starts() === 1)
        yield* engine.kill
        yield* engine.start
        yield* until("another agent works", () => starts() === 2)
        fs.writeFileSync(file("go"), "")
        const { message } = yield* reported(daemon, "m-a", completed)
        assert.strictEqual(message.tries, 0)
        const http = yield* api(daemon)
        const { incarnations } = yield* http.session({ id: message.sessionId })
        const [, first] = incarnations
        assert.strictEqual(incarnations.length, 2)
        assert.strictEqual(first?.reason, "lost")
        assert.include(first?.error ?? "", "stopped by the engine")
      }),
    LIMIT_MS,
  )
})
