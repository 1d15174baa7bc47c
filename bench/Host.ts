/** A whole host for measuring: the real services on a real ledger and real exchange files, with a runtime that starts nothing. */
import { Effect, Layer, Queue, Stream } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { InstallId, MessageId, SessionId } from "../src/domain/Ids.ts"
import { defaultHostLimits, defaultPolicy, type HostLimits } from "../src/domain/Policy.ts"
import * as MemoryChannels from "../src/layers/memory/MemoryChannels.ts"
import * as MemoryWorkspace from "../src/layers/memory/MemoryWorkspace.ts"
import * as SqliteLedger from "../src/layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../src/layers/sqlite/SqliteMailbox.ts"
import {
  type ContainerRef,
  ContainerRuntime,
  type ContainerStatus,
  type RuntimeEvent,
} from "../src/services/ContainerRuntime.ts"
import { plainDraft } from "../src/services/ledger/Accept.ts"
import { makeNudge, type Nudge } from "../src/services/Nudge.ts"
import { Operations } from "../src/services/Operations.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { group, GROUP } from "../src/testing/Timeline.ts"

export { GROUP }
const install = InstallId.make("benchhost")

export const sessionId = (n: number): SessionId => SessionId.make(`s${n}`)

/** Containers that exist in a list only: what a wake costs here is the host's part of it. */
export const stubRuntime = (onStart: (ref: ContainerRef) => void = () => undefined) =>
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
            onStart(ref)
            return ref
          }),
        stop: end,
        kill: end,
        list: Effect.sync(() => [...running.values()]),
        adopt: () => Effect.void,
        output: () => Effect.succeed({ stdout: "", stderr: "" }),
        remove: () => Effect.void,
        events: Stream.fromQueue(events),
      })
    }),
  )

export interface HostOptions {
  readonly dataDir: string
  readonly limits?: Partial<HostLimits>
  readonly onStart?: (ref: ContainerRef) => void
  readonly nudges: { readonly look: Nudge; readonly deliver: Nudge }
}

export const hostLayer = (options: HostOptions) => {
  const ledger = SqliteLedger.layer({
    path: path.join(options.dataDir, "lamplighter.db"),
    mode: "read-write",
    commit: "group",
  })
  const base = Layer.mergeAll(
    SessionStore.layer({
      policy: {
        ...defaultPolicy,
        maxContainersPerGroup: 100_000,
        idleMs: 86_400_000,
        startupLimitMs: 86_400_000,
      },
      limits: { ...defaultHostLimits, maxContainers: 100_000, maxStartsPerSecond: 10_000, ...options.limits },
      zone: "UTC",
    }).pipe(Layer.provide(ledger)),
    stubRuntime(options.onStart),
    MemoryChannels.layer(["stdout"]),
    MemoryWorkspace.layer,
    SqliteMailbox.layer({ dataDir: options.dataDir }),
  )
  return Operations.layer({ runtime: "stub", owners: [], globalAdmins: [], ...options.nudges }).pipe(
    Layer.provideMerge(Sweep.layer(install)),
    Layer.provideMerge(base),
  )
}

export const makeNudges = Effect.all({ look: makeNudge, deliver: makeNudge })

/** A directory on the disk that the host would use, removed with the scope. */
export const dataDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-bench-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true })),
)

/** The one group, and `count` sessions of it. */
export const addSessions = Effect.fnUntraced(function* (count: number) {
  const store = yield* SessionStore
  yield* store.putGroup({ ...group, createdAt: 0, revision: 1 })
  yield* Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    (n) =>
      store.resolveSession({
        id: sessionId(n),
        groupId: GROUP,
        mode: "shared",
        address: { channelType: "stdout", platformId: `p${n}`, threadId: null },
      }),
    { concurrency: 200, discard: true },
  )
})

let messages = 0

export const message = (session: number, dueAt: number) =>
  Effect.flatMap(SessionStore, (store) =>
    store.accept(
      sessionId(session),
      plainDraft({
        id: MessageId.make(`m${messages++}`),
        kind: "chat",
        content: `{"text":"hello"}`,
        dueAt,
      }),
    ),
  )
