/** A whole host for measuring: the real services on a real ledger and real exchange files, with a runtime that starts nothing. */
import { Effect, Layer, type Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { InstallId, MessageId, SessionId } from "../src/domain/Ids.ts"
import { defaultHostLimits, defaultPolicy } from "../src/domain/Policy.ts"
import * as MemoryChannels from "../src/layers/memory/MemoryChannels.ts"
import * as MemoryWorkspace from "../src/layers/memory/MemoryWorkspace.ts"
import * as SqliteLedger from "../src/layers/sqlite/SqliteLedger.ts"
import * as SqliteMailbox from "../src/layers/exchange/SqliteMailbox.ts"
import type { ContainerRef } from "../src/services/ContainerRuntime.ts"
import { plainDraft } from "../src/services/ledger/Accept.ts"
import { makeNudge, type Nudge } from "../src/services/Nudge.ts"
import { Operations } from "../src/services/Operations.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { group, GROUP } from "../src/testing/Timeline.ts"
import { stubRuntime } from "./StubRuntime.ts"

export { GROUP }
const install = InstallId.make("benchhost")

export interface HostOptions {
  readonly dataDir: string
  readonly nudges: { readonly look: Nudge; readonly deliver: Nudge }
  readonly onStart?: (ref: ContainerRef) => void
}

export type HostServices = Layer.Success<ReturnType<typeof hostLayer>>

/** No cap and no rate of starts stands in the way: they are policy, and what is measured is the machinery. */
export const ledgerLayer = (file: string) =>
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
  }).pipe(Layer.provideMerge(SqliteLedger.layer({ path: file, mode: "read-write", commit: "group" })))

export const hostLayer = (options: HostOptions) => {
  const base = Layer.mergeAll(
    ledgerLayer(path.join(options.dataDir, "lamplighter.db")),
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

/** Runs on a host of its own, which is gone afterwards. */
export const onHost = <A, E>(
  use: (host: HostOptions) => Effect.Effect<A, E, HostServices | Scope.Scope>,
  onStart: (ref: ContainerRef) => void = () => undefined,
): Promise<A> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const host = { dataDir: yield* dataDirectory, nudges: yield* makeNudges, onStart }
      return yield* Effect.scoped(use(host)).pipe(Effect.provide(hostLayer(host)))
    }).pipe(Effect.scoped),
  )

export const sessionId = (n: number): SessionId => SessionId.make(`s${n}`)

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
  Effect.forEach(
    Array.from({ length: count }, (_, n) => first + n),
    (n) => message(n, dueAt),
    { concurrency: 100, discard: true },
  )
