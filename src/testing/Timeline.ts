/**
 * A whole Lamplighter in memory: the unmodified services on simulated engine, exchange, workspace and channels. On a test clock a
 * week of timeline takes a second. The ledger is the in-memory one unless another driver is given.
 */
import { Effect, Fiber, Layer } from "effect"
import { plainGroup } from "../domain/Group.ts"
import { GroupId, InstallId, MessageId, SessionId } from "../domain/Ids.ts"
import { defaultHostLimits, defaultPolicy, type HostLimits, type PolicyOverride } from "../domain/Policy.ts"
import * as MemoryChannels from "../layers/memory/MemoryChannels.ts"
import * as MemoryLedger from "../layers/memory/MemoryLedger.ts"
import * as MemoryMailbox from "../layers/memory/MemoryMailbox.ts"
import * as MemoryWorkspace from "../layers/memory/MemoryWorkspace.ts"
import { type AgentScript, SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { SimulatedRuntime } from "../layers/memory/SimulatedRuntime.ts"
import { ContainerRuntime, type LaunchSpec } from "../services/ContainerRuntime.ts"
import { daemon } from "../services/Daemon.ts"
import type { LedgerDriver, LedgerError } from "../services/LedgerDriver.ts"
import { plainDraft } from "../services/ledger/Accept.ts"
import { makeNudge } from "../services/Nudge.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { Sweep } from "../services/Sweep.ts"

export interface TimelineOptions {
  /** Chooses the agent of each launch. */
  readonly script: (spec: LaunchSpec, launch: number) => AgentScript<MemoryMailbox.ContainerSide>
  readonly policy?: PolicyOverride
  readonly limits?: Partial<HostLimits>
  readonly zone?: string
  readonly ledger?: Layer.Layer<LedgerDriver, LedgerError>
  /** Laid over the simulated runtime: an engine that hangs, or refuses. */
  readonly runtime?: (runtime: ContainerRuntime["Service"]) => ContainerRuntime["Service"]
}

const install = InstallId.make("timeline1")

/** The one group and session that the short forms use. */
export const GROUP = GroupId.make("g1")
export const SESSION = SessionId.make("s1")

/** The world outside the daemon: it survives the daemon's death. */
export const worldLayer = (options: TimelineOptions) =>
  Layer.mergeAll(
    SimulatedEngine.layer({ script: options.script }),
    MemoryWorkspace.layer,
    MemoryChannels.layer(["test"]),
    options.ledger ?? MemoryLedger.layer,
  ).pipe(Layer.provideMerge(MemoryMailbox.layer))

export type ServiceSettings = Parameters<typeof SessionStore.layer>[0]

export const makeNudges = Effect.all({ look: makeNudge, deliver: makeNudge })
type Nudges = Effect.Success<typeof makeNudges>

/** The daemon's services on whatever engine, ledger, exchange, workspace and channels there are. */
export const servicesOn = (
  install: InstallId,
  settings: ServiceSettings,
  runtime: NonNullable<TimelineOptions["runtime"]>,
  nudges: Nudges,
) => {
  const base = Layer.mergeAll(
    SessionStore.layer(settings),
    Layer.effect(ContainerRuntime, Effect.map(ContainerRuntime, runtime)).pipe(
      Layer.provide(SimulatedRuntime.layer({ install })),
    ),
  )
  return Operations.layer({ runtime: "simulated", owners: [], globalAdmins: [], ...nudges }).pipe(
    Layer.provideMerge(Sweep.layer(install)),
    Layer.provideMerge(base),
  )
}

/** The daemon's services on a world. */
export const servicesLayer = (options: TimelineOptions, nudges: Nudges) => {
  const policy = { ...defaultPolicy, ...options.policy }
  const limits = { ...defaultHostLimits, ...options.limits }
  const settings = { policy, limits, zone: options.zone ?? "UTC" }
  return servicesOn(install, settings, options.runtime ?? ((runtime) => runtime), nudges)
}

export const group = plainGroup(GROUP)

/** Starts the daemon's loops as a child fiber; interrupt it for a clean shutdown. */
export const startDaemon = (nudges: Nudges) =>
  Effect.forkChild(
    daemon({ sweepIntervalMs: 60_000, pollIntervalMs: 1_000, ...nudges }),
  ) satisfies Effect.Effect<Fiber.Fiber<unknown, unknown>, unknown, unknown>

/** Adds the group and its session, with `test` as the channel of its answers. */
export const setUp = Effect.gen(function* () {
  const operations = yield* Operations
  const store = yield* SessionStore
  yield* operations.addGroup(group)
  return yield* store.resolveSession({
    id: SESSION,
    groupId: GROUP,
    mode: "shared",
    address: { channelType: "test", platformId: "p1", threadId: null },
  })
})

/** Accepts one chat message and rings the sweep. */
export const say = Effect.fnUntraced(function* (look: Nudges["look"], id: string, at: number) {
  const store = yield* SessionStore
  yield* store.accept(
    SESSION,
    plainDraft({ id: MessageId.make(id), kind: "chat", content: JSON.stringify({ text: id }), dueAt: at }),
  )
  yield* look.ring
})

export const messageOf = Effect.fnUntraced(function* (id: string) {
  const store = yield* SessionStore
  const message = yield* store.read((reader) => reader.message(MessageId.make(id)))
  return message ?? (yield* Effect.die(new Error(`there is no message ${id}`)))
})
