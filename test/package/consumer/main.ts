/** What a consumer of the package would write, one piece per room. `Package.test.ts` installs, compiles and runs it. */
import { Console, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { decideStuckAction, defaultHostLimits, defaultPolicy, nextSlot } from "lamplighter/domain"
import { ChannelRegistry } from "lamplighter/layers/channels"
import { StaticCredentials } from "lamplighter/layers/credentials"
import { DockerRuntime } from "lamplighter/layers/docker"
import { LocalWorkspace } from "lamplighter/layers/files"
import { SocketClient } from "lamplighter/layers/http"
import { MemoryLedger } from "lamplighter/layers/memory"
import { ProcessRuntime } from "lamplighter/layers/process"
import { SqliteLedger } from "lamplighter/layers/sqlite"
import { SessionStore } from "lamplighter/services"
import * as Testing from "lamplighter/testing"

const policy = defaultPolicy

const stuck = decideStuckAction(
  {
    spawnedAt: 0,
    ageOrigin: 0,
    heartbeatAt: null,
    claims: [],
    anyAck: false,
    workDueSince: 0,
    tool: null,
  },
  policy.startupLimitMs + 1,
  policy,
)

const slot = nextSlot({ _tag: "Interval", everyMs: 60_000, anchor: 0 }, 90_000)

const groups = Effect.gen(function* () {
  const store = yield* SessionStore
  return yield* store.read((reader) => reader.groups().length)
}).pipe(
  Effect.provide(SessionStore.layer({ policy, limits: defaultHostLimits, zone: "UTC" })),
  Effect.provide(MemoryLedger.layer),
)

const options: Testing.TimelineOptions = {
  script: () => Testing.ScriptedAgents.healthy({ workMs: 3_000 }),
}

const timeline = Effect.gen(function* () {
  const nudges = yield* Testing.makeNudges
  return yield* Effect.gen(function* () {
    yield* Testing.setUp
    const daemon = yield* Testing.startDaemon(nudges)
    yield* Testing.say(nudges.look, "hello", 0)
    for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
    const message = yield* Testing.messageOf("hello")
    const stopping = yield* Effect.forkChild(Fiber.interrupt(daemon))
    for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
    yield* Fiber.join(stopping)
    return message.state
  }).pipe(Effect.provide(Testing.servicesLayer(options, nudges)))
}).pipe(Effect.provide(Testing.worldLayer(options)), Effect.provide(TestClock.layer()))

const report = {
  stuck: stuck._tag,
  slot,
  groups: await Effect.runPromise(groups),
  timeline: await Effect.runPromise(Effect.scoped(timeline)),
  layers: [
    SqliteLedger.layer,
    ProcessRuntime.ProcessRuntime.layer,
    DockerRuntime.DockerRuntime.layer,
    LocalWorkspace.layer,
    ChannelRegistry.layer,
    StaticCredentials.makeStaticCredentials,
    SocketClient.client,
  ].map((value) => typeof value),
}
await Effect.runPromise(Console.log(JSON.stringify(report)))
