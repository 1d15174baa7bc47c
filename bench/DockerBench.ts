/** What Lamplighter adds to a bare create and start of the same container, and how long a message waits for one, cold and warm. */
import Docker from "dockerode"
import { Effect, Fiber } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { buildContainerSpec } from "../src/domain/ContainerSpec.ts"
import { IncarnationNumber, type InstallId, MessageId, SessionId } from "../src/domain/Ids.ts"
import { containerBody } from "../src/layers/docker/ContainerBody.ts"
import { engineLabels } from "../src/layers/docker/DockerLabels.ts"
import { Operations } from "../src/services/Operations.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { startDaemon } from "../src/testing/Timeline.ts"
import { image, maxOutputBytes, onDockerHost, runnerEntry, sandbox } from "./DockerHost.ts"
import { addSessions, forEach, GROUP, message, sessionId, upTo } from "./Host.ts"
import { type Bench, elapsed, median, ms, percentile, timed, until } from "./Measure.ts"

const docker = new Docker()

/** The container that a wake of session `n` makes, made and started by hand in folders that are there already. */
const bareStart = (dataDir: string, install: InstallId, n: number): Effect.Effect<number> => {
  const folder = (name: string): string => {
    const made = path.join(dataDir, "bare", String(n), name)
    fs.mkdirSync(made, { recursive: true })
    return made
  }
  const groupDir = folder("group")
  for (const name of ["in", "agent", "global"]) folder(path.join("out", name))
  const containerJson = path.join(groupDir, "container.json")
  fs.writeFileSync(containerJson, `{"provider":"echo"}`)
  const spec = buildContainerSpec({
    name: `lamplighter-${install}-bare${n}`,
    image,
    labels: engineLabels({
      install,
      group: GROUP,
      session: SessionId.make(`bare${n}`),
      incarnation: IncarnationNumber.make(1),
    }),
    host: { uid: process.getuid?.() ?? 1_000, gid: process.getgid?.() ?? 1_000, engine: "rootful" },
    sandbox,
    env: { TZ: "UTC" },
    places: {
      inDir: folder("in"),
      outDir: folder("out"),
      groupDir,
      globalDir: folder("global"),
      containerJson,
      runnerDir: path.dirname(runnerEntry),
      runnerEntry: path.basename(runnerEntry),
      skills: null,
      stateDir: null,
    },
    extraBinds: [],
    maxLogBytes: 2 * maxOutputBytes,
    graceMs: 10_000,
  })
  const body = containerBody(spec)
  return Effect.gen(function* () {
    const taken = yield* elapsed(
      Effect.promise(async () => {
        const container = await docker.createContainer(body)
        await container.start()
      }),
    )
    yield* Effect.promise(() => docker.getContainer(spec.name).remove({ force: true, v: true }))
    return taken
  })
}

const phaseOf = (n: number) =>
  SessionStore.use((store) => store.read((reader) => reader.incarnation(sessionId(n), 1)?.phase))

/** A wake of session `n`, from the request to the record that its container has started. */
const wholeWake = (install: InstallId, n: number) =>
  Effect.gen(function* () {
    const sweep = yield* Sweep
    yield* message(n, Date.now())
    let phase: string | undefined
    const taken = yield* elapsed(
      Effect.andThen(
        sweep.wake(sessionId(n)),
        until(
          "its container started",
          () => phase === "running",
          Effect.tap(Effect.andThen(Effect.sleep(1), phaseOf(n)), (found) =>
            Effect.sync(() => {
              phase = found
            }),
          ),
        ),
      ),
    )
    yield* Effect.promise(() =>
      docker.getContainer(`lamplighter-${install}-${sessionId(n)}`).remove({ force: true, v: true }),
    )
    return taken
  })

/** Bare and whole by turns, so that both see the same engine. */
const added = (count: number) =>
  onDockerHost(({ dataDir, install }) =>
    Effect.gen(function* () {
      yield* addSessions(count)
      const figures: Array<{ readonly bare: number; readonly whole: number }> = []
      for (let n = 0; n < count; n++)
        figures.push({
          bare: yield* bareStart(dataDir, install, n),
          whole: yield* wholeWake(install, n),
        })
      return figures
    }),
  )

/** Sends, and waits until the ledger knows the claim of each. */
const sendTo = (sessions: ReadonlyArray<number>, round: number) =>
  Effect.gen(function* () {
    const operations = yield* Operations
    const idOf = (n: number) => MessageId.make(`bench-${round}-${n}`)
    const claimed = new Set<string>()
    const look = Effect.gen(function* () {
      yield* Effect.sleep(1)
      for (const n of sessions) {
        const { message: found } = yield* operations.message({ id: idOf(n) })
        if (found.claimedAt !== null) claimed.add(found.id)
      }
    })
    const all = Effect.gen(function* () {
      yield* forEach(sessions, (n) =>
        operations.send({ id: idOf(n), sessionId: sessionId(n), kind: "chat", content: { text: "hello" } }),
      )
      yield* until("every claim", () => claimed.size === sessions.length, look)
    })
    return yield* elapsed(all)
  })

const claims = (rounds: number, together: number) =>
  onDockerHost(({ nudges }) =>
    Effect.gen(function* () {
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
