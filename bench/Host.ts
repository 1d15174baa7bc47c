/** A whole host for measuring: the real services on a real ledger and real exchange files, with a runtime that starts nothing. */
import { Effect, Layer, Queue, References, type Scope, Stream } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { type Delivery, pendingDelivery } from "../src/domain/Delivery.ts"
import { DeliveryId, InstallId, MessageId, OutboundId, SessionId } from "../src/domain/Ids.ts"
import { defaultHostLimits, defaultPolicy } from "../src/domain/Policy.ts"
import * as MemoryChannels from "../src/layers/memory/MemoryChannels.ts"
import * as MemoryWorkspace from "../src/layers/memory/MemoryWorkspace.ts"
import * as SqliteLedger from "../src/layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../src/layers/exchange/SqliteMailbox.ts"
import {
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type RuntimeEvent,
} from "../src/services/ContainerRuntime.ts"
import { plainDraft } from "../src/services/ledger/Accept.ts"
import { Operations } from "../src/services/Operations.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import type { Workspace } from "../src/services/Workspace.ts"
import { group, GROUP, makeNudges } from "../src/testing/Timeline.ts"
import { until, upTo } from "./Measure.ts"

export { GROUP }

export interface Host {
  readonly dataDir: string
  readonly install: InstallId
  readonly nudges: Effect.Success<typeof makeNudges>
  /** When the container of each session was started, by the stub. */
  readonly started: Map<string, number>
}

export type HostServices = Layer.Success<ReturnType<typeof hostLayer>>

/** No cap and no rate of starts stands in the way: they are policy, and what is measured is the machinery. */
export const ledgerLayer = (dataDir: string) =>
  SessionStore.layer({
    policy: {
      ...defaultPolicy,
      maxContainersPerGroup: 100_000,
      maxQueuedMessages: 1_000_000,
      idleMs: 86_400_000,
      startupLimitMs: 86_400_000,
    },
    limits: {
      ...defaultHostLimits,
      maxContainers: 100_000,
      maxStartsPerSecond: 10_000,
      maxPendingDeliveries: 1_000_000,
    },
    zone: "UTC",
  }).pipe(
    Layer.provideMerge(
      SqliteLedger.layer({ path: ledgerFile(dataDir), mode: "read-write", commit: "group" }),
    ),
  )

export const ledgerFile = (dataDir: string): string => path.join(dataDir, "lamplighter.db")

/** The services, on this runtime and this workspace. */
export const servicesOn = <A, E, R>(
  { dataDir, install, nudges }: Host,
  runtime: string,
  below: Layer.Layer<A | ContainerRuntime | Workspace, E, R>,
) =>
  Operations.layer({ runtime, owners: [], globalAdmins: [], ...nudges }).pipe(
    Layer.provideMerge(Sweep.layer(install)),
    Layer.provideMerge(Layer.mergeAll(ledgerLayer(dataDir), MemoryChannels.layer(["stdout"]), below)),
    Layer.provideMerge(SqliteMailbox.layer({ dataDir })),
  )

export const hostLayer = (host: Host) =>
  servicesOn(host, "stub", Layer.merge(stubRuntime(host.started), MemoryWorkspace.layer))

/** Containers that exist in a list only: what a wake costs on it is the host's part, and nothing but the host is measured. */
const stubRuntime = (started: Map<string, number>) =>
  Layer.effect(
    ContainerRuntime,
    Effect.gen(function* () {
      const running = new Map<string, ContainerStatus>()
      const events = yield* Queue.unbounded<RuntimeEvent>()
      const exit = { exitCode: 0, signal: null, oomKilled: false, at: null }
      const end = (ref: ContainerRef) =>
        Effect.suspend(() => {
          running.delete(ref.handle)
          return Effect.asVoid(Queue.offer(events, { _tag: "Exited", ref, exit }))
        })
      return ContainerRuntime.of({
        kind: "stub",
        bootId: "bench",
        start: ({ labels }) =>
          Effect.sync(() => {
            const ref = { labels, handle: `${labels.session}/${labels.incarnation}` }
            running.set(ref.handle, { _tag: "Running", ref, startedAt: null })
            started.set(labels.session, performance.timeOrigin + performance.now())
            return ref
          }),
        stop: end,
        kill: end,
        list: Effect.sync(() => [...running.values()]),
        adopt: () => Effect.void,
        output: () => Effect.succeed({ stdout: "", stderr: "", text: "" }),
        remove: () => Effect.void,
        events: Stream.fromQueue(events),
      })
    }),
  )

/** Runs in a directory on the disk that a host would use, which is gone afterwards. */
export const inDirectory = <A, E>(use: (directory: string) => Effect.Effect<A, E, Scope.Scope>): Promise<A> =>
  Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-bench-"))),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
  ).pipe(Effect.flatMap(use), Effect.scoped, Effect.runPromise)

/** A table stands by itself: what a bench's hosts log is shown on request. Tests that run on such a host keep their logs. */
const isQuiet =
  process.argv[1] === path.join(import.meta.dirname, "main.ts") && !process.argv.includes("--log")

/** Runs on a host in this directory, of these services. */
export const runOn = Effect.fnUntraced(function* <A, E, S, E2>(
  dataDir: string,
  services: (host: Host) => Layer.Layer<S, E2>,
  use: (host: Host) => Effect.Effect<A, E, S | Scope.Scope>,
) {
  const install = InstallId.make(`bench${randomBytes(6).toString("hex")}`)
  const host = { dataDir, install, nudges: yield* makeNudges, started: new Map<string, number>() }
  return yield* Effect.scoped(use(host)).pipe(
    Effect.provide(services(host)),
    Effect.provideService(References.MinimumLogLevel, isQuiet ? "None" : "Info"),
  )
})

/** Runs on a host of its own, which is gone afterwards. */
export const onNewHost = <A, E, S, E2>(
  services: (host: Host) => Layer.Layer<S, E2>,
  use: (host: Host) => Effect.Effect<A, E, S | Scope.Scope>,
): Promise<A> => inDirectory((dataDir) => runOn(dataDir, services, use))

export const onHost = <A, E>(use: (host: Host) => Effect.Effect<A, E, HostServices | Scope.Scope>) =>
  onNewHost(hostLayer, use)

/** Does it for each, a hundred at a time. */
export const forEach = <A, X, E, R>(
  items: ReadonlyArray<A>,
  act: (item: A, index: number) => Effect.Effect<X, E, R>,
) => Effect.forEach(items, act, { concurrency: 100, discard: true })

export const sessionId = (n: number): SessionId => SessionId.make(`s${n}`)

/** The one group, and `count` sessions of it, whose answers go to this channel. */
export const addSessions = Effect.fnUntraced(function* (count: number, channelType = "stdout") {
  const store = yield* SessionStore
  yield* store.putGroup({ ...group, createdAt: 0, revision: 1 })
  yield* forEach(upTo(count), (n) =>
    store.resolveSession({
      id: sessionId(n),
      groupId: GROUP,
      mode: "shared",
      address: { channelType, platformId: `p${n}`, threadId: null },
    }),
  )
})

/** Until so many containers have been started. */
export const untilStarted = <E, R>(
  { started }: Host,
  count: number,
  meanwhile: Effect.Effect<unknown, E, R>,
) =>
  until(
    `${count} containers started`,
    Effect.suspend(() => (started.size >= count ? Effect.succeed(true) : Effect.as(meanwhile, false))),
  )

/** Between two due times: far enough apart that none waits for another. 100,000 series that fire every 42 minutes give as many. */
export const APART_MS = 25

/** How late after its due time the container of each session from `first` on was started. Its daemon runs. */
export const lateness = Effect.fnUntraced(function* (host: Host, first: number, due: ReadonlyArray<number>) {
  yield* host.nudges.look.ring
  yield* untilStarted(host, first + due.length, Effect.sleep(20))
  return due.map((at, n) => (host.started.get(sessionId(first + n)) ?? Number.NaN) - at)
})

let accepted = 0

/** One chat message to one session, under an id of its own. */
export const message = (session: number, dueAt: number) =>
  SessionStore.use((store) =>
    store.accept(
      sessionId(session),
      plainDraft({
        id: MessageId.make(`m${accepted++}`),
        kind: "chat",
        content: `{"text":"hello"}`,
        dueAt,
      }),
    ),
  )

/** One message to each of `count` sessions from `first` on, in bursts. */
export const messages = (first: number, count: number, dueAt: number) =>
  forEach(upTo(count), (n) => message(first + n, dueAt))

/** An answer of the first session that waits to be sent, number `n` of its kind. */
export const waiting = (n: number, more: Partial<Pick<Delivery, "incarnation" | "seq" | "inReplyTo">> = {}) =>
  pendingDelivery({
    id: DeliveryId.make(`waiting${n}`),
    sessionId: sessionId(0),
    outboundId: OutboundId.make(`waiting${n}`),
    incarnation: 1,
    position: 0,
    seq: n * 2 + 1,
    inReplyTo: null,
    answers: [],
    hops: 0,
    kind: "chat",
    channelType: "stdout",
    platformId: null,
    threadId: null,
    content: `{"text":"hello"}`,
    lane: "waiting",
    nextAttemptAt: null,
    deliverAfter: null,
    revision: 1,
    createdAt: 0,
    ...more,
  })
