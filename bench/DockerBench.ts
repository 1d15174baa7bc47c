/** What Lamplighter adds to a bare create and start of the same container, and how long a message waits for one, cold and warm. */
import Docker from "dockerode"
import { Effect, Fiber, Layer, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { defaultSandbox } from "../src/domain/ContainerSpec.ts"
import { type InstallId, MessageId } from "../src/domain/Ids.ts"
import { labelFilter } from "../src/layers/docker/DockerLabels.ts"
import { DockerRuntime } from "../src/layers/docker/DockerRuntime.ts"
import * as LocalWorkspace from "../src/layers/files/LocalWorkspace.ts"
import { Operations } from "../src/services/Operations.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { startDaemon } from "../src/testing/Timeline.ts"
import { addSessions, forEach, type Host, message, onNewHost, servicesOn, sessionId } from "./Host.ts"
import { type Bench, elapsed, median, ms, percentile, timed, until, upTo } from "./Measure.ts"

const docker = new Docker()

/** Any image with Node 24 as `node`; scripts/docker-base.sh makes one without a registry. */
const image = process.env["LAMPLIGHTER_TEST_BASE_IMAGE"] || "lamplighter-ci-base:local"

/** Null where there is an engine with the image. */
export const dockerMissing = (): string | null => {
  try {
    execFileSync("docker", ["image", "inspect", image], { stdio: "pipe", timeout: 10_000 })
    return null
  } catch {
    return `no Docker engine with the image ${image}`
  }
}

/** The runner as it ships, where `npm run build` has made it; otherwise its sources, which start more slowly. */
const bundledRunner = new URL("../dist/container/agent-runner/main.js", import.meta.url)
const sourceRunner = new URL("../container/agent-runner/main.ts", import.meta.url)
const MAX_OUTPUT_BYTES = 1024 ** 2

const remove = (container: string) =>
  Effect.promise(() => docker.getContainer(container).remove({ force: true, v: true }))

/** Removes every container of the install, however it ended. */
const removeAll = (install: InstallId) =>
  Effect.promise(() => docker.listContainers({ all: true, filters: { label: [labelFilter(install)] } })).pipe(
    Effect.flatMap((left) => forEach(left, ({ Id }) => remove(Id))),
  )

/** Ledger, exchange files and containers as in production, with an answer channel in memory. */
const layerOf = (host: Host) =>
  servicesOn(
    host,
    "docker",
    Layer.merge(
      DockerRuntime.layer({
        socketPath: null,
        callMs: 30_000,
        changeMs: 60_000,
        install: host.install,
        runnerEntry: fileURLToPath(fs.existsSync(bundledRunner) ? bundledRunner : sourceRunner),
        image,
        sandbox: { ...defaultSandbox, memoryBytes: 256 * 1024 * 1024 },
        maxOutputBytes: MAX_OUTPUT_BYTES,
        images: null,
      }),
      LocalWorkspace.layer({
        dataDir: host.dataDir,
        exitLogRetention: { count: 10, ageMs: 86_400_000 },
        maxLogBytes: MAX_OUTPUT_BYTES,
      }),
    ),
  ).pipe(Layer.provideMerge(Layer.effectDiscard(Effect.addFinalizer(() => removeAll(host.install)))))

/** Runs on a host of its own, which is gone afterwards with all of its containers. */
const onDockerHost = <A, E>(
  use: (host: Host) => Effect.Effect<A, E, Layer.Success<ReturnType<typeof layerOf>> | Scope.Scope>,
) => onNewHost(layerOf, use)

/** A wake of session `n`, from the request to the record that its container has started. Then the same container, by hand, in folders that are there already. */
const wholeAndBare = Effect.fnUntraced(function* (install: InstallId, n: number) {
  const id = sessionId(n)
  const store = yield* SessionStore
  const sweep = yield* Sweep
  yield* message(n, Date.now())
  const look = Effect.delay(
    store.read((reader) => reader.incarnation(id, 1)?.phase === "running"),
    1,
  )
  const whole = yield* elapsed(Effect.andThen(sweep.wake(id), until("its container started", look)))
  const name = `lamplighter-${install}-${id}`
  const { Config, HostConfig } = yield* Effect.promise(() => docker.getContainer(name).inspect())
  yield* remove(name)
  const byHand = Effect.promise(async () => {
    const container = await docker.createContainer({ ...Config, HostConfig, name })
    await container.start()
  })
  const bare = yield* elapsed(byHand)
  yield* remove(name)
  return { whole, bare }
})

/** By turns, so that both see the same engine. */
const added = (count: number) =>
  onDockerHost(({ install }) =>
    Effect.andThen(
      addSessions(count),
      Effect.forEach(upTo(count), (n) => wholeAndBare(install, n)),
    ),
  )

/** Sends, and waits until the ledger knows the claim of each. */
const sendTo = Effect.fnUntraced(function* (sessions: ReadonlyArray<number>, round: number) {
  const operations = yield* Operations
  const idOf = (n: number) => MessageId.make(`bench-${round}-${n}`)
  const claimed = new Set<string>()
  const look = Effect.gen(function* () {
    yield* Effect.sleep(1)
    for (const n of sessions) {
      const { message: found } = yield* operations.message({ id: idOf(n) })
      if (found.claimedAt !== null) claimed.add(found.id)
    }
    return claimed.size === sessions.length
  })
  const sent = forEach(sessions, (n) =>
    operations.send({ id: idOf(n), sessionId: sessionId(n), kind: "chat", content: { text: "hello" } }),
  )
  return yield* elapsed(Effect.andThen(sent, until("every claim", look)))
})

const claims = (rounds: number, together: number) =>
  onDockerHost(
    Effect.fnUntraced(function* ({ nudges }) {
      yield* addSessions(rounds + together)
      const daemon = yield* startDaemon(nudges)
      const cold: Array<number> = []
      const warm: Array<number> = []
      for (let n = 0; n < rounds; n++) {
        cold.push(yield* sendTo([n], 0))
        // Its runner has gone back to sleep by then.
        yield* Effect.sleep(1_000)
        warm.push(yield* sendTo([n], 1))
      }
      const others = upTo(together).map((n) => rounds + n)
      const burst = yield* sendTo(others, 0)
      yield* Fiber.interrupt(daemon)
      return { cold, warm, burst }
    }),
  )

export const dockerBench: Bench = {
  name: "docker",
  about:
    "a real engine: what a wake adds to a bare create and start, and how long a message waits for its claim",
  run: async (size) => {
    const [starts, rounds] = size === "smoke" ? [3, 2] : [25, 10]
    const figures = await added(starts)
    const bares = figures.map((figure) => figure.bare)
    const bare = median(bares)
    const whole = median(figures.map((figure) => figure.whole))
    const more = median(figures.map((figure) => figure.whole - figure.bare))
    const together = 10
    const { burst, cold, warm } = await claims(rounds, together)
    return [
      timed("wake, p50, beside a bare create and start", whole, undefined, { over: ["bare", bare] }),
      timed("what the wake adds, p50", more, 25),
      timed("bare p90, for the engine's own scatter", percentile(bares, 0.9)),
      {
        ...timed("send → claim seen, cold, p50", median(cold), 300),
        beside: `bare start ${ms(bare)}`,
      },
      timed("send → claim seen, warm, p50", median(warm), 40),
      timed(`${together} sessions woken at once, all claimed`, burst, Math.round(1.2 * together * bare), {
        over: [`${together} bare, one by one`, together * bare],
      }),
    ]
  },
}
