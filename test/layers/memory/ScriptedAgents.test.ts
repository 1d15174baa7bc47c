import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { GroupId, InstallId, MessageId, SessionId } from "../../../src/domain/Ids.ts"
import type { Message } from "../../../src/domain/Message.ts"
import { DOORBELL } from "../../../src/services/ContainerRuntime.ts"
import * as MemoryMailbox from "../../../src/layers/memory/MemoryMailbox.ts"
import {
  crashesAtStart,
  crashesMidMessage,
  failsTheMessage,
  healthy,
  ignoresSigterm,
  neverClaims,
  silentAfterClaim,
  slow,
  toolSilent,
} from "../../../src/layers/memory/ScriptedAgents.ts"
import { type AgentScript, SimulatedEngine } from "../../../src/layers/memory/SimulatedEngine.ts"
import { SimulatedRuntime } from "../../../src/layers/memory/SimulatedRuntime.ts"
import { ContainerRuntime, type RuntimeEvent } from "../../../src/services/ContainerRuntime.ts"
import { Mailbox, type Pair } from "../../../src/services/Mailbox.ts"
import { glanced } from "../../contract/Mailbox.contract.ts"

const install = InstallId.make("scripted1")
const pair: Pair = { groupId: GroupId.make("family"), sessionId: SessionId.make("one"), incarnation: 1 }

const message = (seq: number, more: Partial<Message> = {}): Message => ({
  id: MessageId.make(`m${seq}`),
  sessionId: pair.sessionId,
  seq,
  kind: "chat",
  state: "pending",
  trigger: true,
  onWake: false,
  priority: 1,
  dueAt: 0,
  firstDueAt: 0,
  expiresAt: null,
  content: "{}",
  channelType: null,
  platformId: null,
  threadId: null,
  sourceSessionId: null,
  hops: 0,
  seriesId: null,
  slot: null,
  slotOrigin: null,
  tries: 0,
  attempts: 0,
  admittedIn: 1,
  revision: 1,
  suspect: false,
  acceptedAt: 0,
  wokenAt: null,
  claimedAt: null,
  endedAt: null,
  error: null,
  result: null,
  redriveOf: null,
  ...more,
})

/** One agent with this script and these messages, started at time 0. */
const run = Effect.fnUntraced(function* (
  script: AgentScript<MemoryMailbox.ContainerSide>,
  messages: ReadonlyArray<Message>,
) {
  const services = yield* Layer.build(
    SimulatedRuntime.layer({ install }).pipe(
      Layer.provideMerge(SimulatedEngine.layer({ script: () => script })),
      Layer.provideMerge(MemoryMailbox.layer),
    ),
  )
  const mailbox = Context.get(services, Mailbox)
  const runtime = Context.get(services, ContainerRuntime)
  let revision = 0
  const show = (rows: ReadonlyArray<Message>) => {
    revision += 1
    return mailbox.project(pair, {
      revision,
      messages: rows.map((row) => ({
        message: row,
        status: row.state === "pending" ? "pending" : "completed",
      })),
      delivered: [],
      series: null,
      destinations: null,
      routing: null,
    })
  }
  yield* mailbox.create(pair, { sessionState: [], outbound: [], createdAt: 0 })
  yield* show(messages)
  const events: Array<RuntimeEvent> = []
  yield* Stream.runForEach(runtime.events, (event) => Effect.sync(() => events.push(event))).pipe(
    Effect.forkScoped({ startImmediately: true }),
  )
  const ref = yield* runtime.start({
    labels: { install, group: pair.groupId, session: pair.sessionId, incarnation: pair.incarnation },
    name: "one",
    inDir: "/in",
    outDir: "/out",
    groupDir: "/group",
    globalDir: "/global",
    containerJson: "/group/container.json",
    env: {},
    image: null,
    graceMs: 10_000,
  })
  const read = mailbox.read(pair, { seen: new Set(), mode: "live" })
  return {
    runtime,
    ref,
    show,
    read,
    /** `m2 processing`, … in the order of claim. */
    acks: Effect.map(read, ({ acks }) => acks.map(({ messageId, status }) => `${messageId} ${status}`)),
    answers: Effect.map(read, ({ outbound }) =>
      outbound.map((row) => [row.inReplyTo, JSON.parse(row.content).text]),
    ),
    heartbeat: Effect.sync(() => glanced(mailbox, pair).heartbeatMtime),
    rings: () => events.filter((event) => event._tag === "Line" && event.line === DOORBELL).length,
    exit: () => events.find((event) => event._tag === "Exited")?.exit,
  }
})

const seconds = (count: number) => TestClock.adjust(`${count} seconds`)

describe("scripted agents", () => {
  it.effect("healthy claims, works with heartbeats, answers, acks and rings", () =>
    Effect.gen(function* () {
      const agent = yield* run(healthy({ workMs: 25_000 }), [message(2)])
      yield* seconds(1)
      assert.deepStrictEqual(yield* agent.acks, ["m2 processing"])
      assert.strictEqual(agent.rings(), 1)
      yield* seconds(20)
      assert.strictEqual(yield* agent.heartbeat, 20_001)
      assert.deepStrictEqual(yield* agent.answers, [])
      yield* seconds(6)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
      assert.deepStrictEqual(yield* agent.answers, [["m2", "echo m2"]])
      assert.strictEqual(agent.rings(), 2)
      assert.strictEqual((yield* agent.read).acks[0]?.changedAt, 25_001)
      yield* seconds(3_600)
      assert.strictEqual((yield* agent.answers).length, 1)
      assert.isUndefined(agent.exit())
    }),
  )

  it.effect("takes chats together, tasks alone, context along, and nothing that is not due", () =>
    Effect.gen(function* () {
      const agent = yield* run(healthy({ workMs: 5_000 }), [
        message(2),
        message(4, { trigger: false }),
        message(6, { kind: "task" }),
        message(8),
        message(10, { channelType: "elsewhere" }),
        message(12, { dueAt: 60_000 }),
      ])
      yield* seconds(1)
      assert.deepStrictEqual(yield* agent.acks, ["m2 processing", "m4 processing", "m8 processing"])
      yield* seconds(19)
      const afterwards = (yield* agent.answers).map(([to]) => to)
      assert.deepStrictEqual(afterwards, ["m2", "m6", "m10"])
      assert.notInclude(yield* agent.acks, "m12 completed")
      yield* seconds(60)
      assert.include(yield* agent.acks, "m12 completed")
    }),
  )

  it.effect("does not start a turn for context alone", () =>
    Effect.gen(function* () {
      const agent = yield* run(healthy(), [message(2, { trigger: false }), message(4, { kind: "system" })])
      yield* seconds(60)
      assert.deepStrictEqual(yield* agent.acks, [])
    }),
  )

  it.effect("shows on_wake rows to the first poll only", () =>
    Effect.gen(function* () {
      const agent = yield* run(healthy(), [message(2, { onWake: true })])
      yield* seconds(1)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
      yield* agent.show([message(4, { onWake: true })])
      yield* seconds(60)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
    }),
  )

  it.effect("takes a row again only when it was tried since", () =>
    Effect.gen(function* () {
      const agent = yield* run(failsTheMessage({ retryable: true, error: "no luck" }), [message(2)])
      yield* seconds(30)
      const [ack] = (yield* agent.read).acks
      assert.deepInclude(ack, { status: "failed", tries: 0 })
      assert.deepStrictEqual(ack?.detail, { retryable: true, error: "no luck", result: null })
      assert.strictEqual(agent.rings(), 2)
      yield* agent.show([message(2)])
      yield* seconds(30)
      assert.strictEqual(agent.rings(), 2)
      yield* agent.show([message(2, { tries: 1, dueAt: 90_000 })])
      yield* seconds(29)
      assert.strictEqual(agent.rings(), 2)
      yield* seconds(3)
      assert.deepInclude((yield* agent.read).acks[0], { status: "failed", tries: 1 })
    }),
  )

  it.effect("on SIGTERM gives its claims back and exits 0, working or idle", () =>
    Effect.gen(function* () {
      const working = yield* run(healthy({ workMs: 60_000 }), [message(2), message(4)])
      yield* seconds(5)
      assert.strictEqual((yield* working.acks).length, 2)
      yield* working.runtime.stop(working.ref)
      yield* seconds(1)
      assert.deepStrictEqual(yield* working.acks, [])
      assert.strictEqual(working.exit()?.exitCode, 0)

      const idle = yield* run(healthy(), [])
      yield* seconds(5)
      yield* idle.runtime.stop(idle.ref)
      yield* seconds(1)
      assert.strictEqual(idle.exit()?.exitCode, 0)
    }),
  )

  it.effect("slow shows progress for as long as it takes", () =>
    Effect.gen(function* () {
      const agent = yield* run(slow({ workMs: 3_600_000, beatMs: 30_000 }), [message(2)])
      yield* seconds(3_599)
      assert.strictEqual(yield* agent.heartbeat, 3_570_001)
      assert.deepStrictEqual(yield* agent.acks, ["m2 processing"])
      yield* seconds(2)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
    }),
  )

  it.effect("silent after the claim: no heartbeat, no exit, deaf to SIGTERM", () =>
    Effect.gen(function* () {
      const agent = yield* run(silentAfterClaim(), [message(2)])
      yield* seconds(3_600)
      yield* agent.runtime.stop(agent.ref)
      yield* seconds(60)
      assert.deepStrictEqual(yield* agent.acks, ["m2 processing"])
      assert.isNull(yield* agent.heartbeat)
      assert.isUndefined(agent.exit())
      yield* agent.runtime.kill(agent.ref)
      yield* seconds(1)
      assert.strictEqual(agent.exit()?.signal, "SIGKILL")
      assert.deepStrictEqual(yield* agent.acks, ["m2 processing"])
    }),
  )

  it.effect("silent after the claim, but listening: gives the claim back", () =>
    Effect.gen(function* () {
      const agent = yield* run(silentAfterClaim({ onSigterm: "releases" }), [message(2)])
      yield* seconds(60)
      yield* agent.runtime.stop(agent.ref)
      yield* seconds(1)
      assert.deepStrictEqual(yield* agent.acks, [])
      assert.strictEqual(agent.exit()?.exitCode, 0)
    }),
  )

  it.effect("never claims: runs, touches nothing, and stops when asked", () =>
    Effect.gen(function* () {
      const agent = yield* run(neverClaims(), [message(2)])
      yield* seconds(3_600)
      assert.deepStrictEqual(yield* agent.acks, [])
      assert.isNull(yield* agent.heartbeat)
      assert.isUndefined(agent.exit())
      yield* agent.runtime.stop(agent.ref)
      yield* seconds(1)
      assert.strictEqual(agent.exit()?.exitCode, 0)
    }),
  )

  it.effect("crashes at start: exits before it claims anything", () =>
    Effect.gen(function* () {
      const agent = yield* run(crashesAtStart(127, 500), [message(2)])
      yield* seconds(1)
      assert.strictEqual(agent.exit()?.exitCode, 127)
      assert.strictEqual(agent.exit()?.at, 500)
      assert.deepStrictEqual(yield* agent.acks, [])
    }),
  )

  it.effect("crashes mid-message on the poison only, and leaves the claims open", () =>
    Effect.gen(function* () {
      const poison = (row: { readonly id: string }) => row.id === "m4"
      const agent = yield* run(crashesMidMessage({ poison, workMs: 2_000 }), [message(2)])
      yield* seconds(10)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
      yield* agent.show([message(4), message(6)])
      yield* seconds(10)
      assert.strictEqual(agent.exit()?.exitCode, 139)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed", "m4 processing", "m6 processing"])
      assert.strictEqual((yield* agent.answers).length, 1)
    }),
  )

  it.effect("ignores SIGTERM and works on until it is killed", () =>
    Effect.gen(function* () {
      const agent = yield* run(ignoresSigterm({ workMs: 20_000 }), [message(2)])
      yield* seconds(5)
      yield* agent.runtime.stop(agent.ref)
      yield* seconds(20)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
      yield* agent.show([message(4)])
      yield* seconds(5)
      assert.include(yield* agent.acks, "m4 processing")
      yield* agent.runtime.kill(agent.ref)
      yield* seconds(60)
      assert.strictEqual(agent.exit()?.signal, "SIGKILL")
      assert.include(yield* agent.acks, "m4 processing")
    }),
  )

  it.effect("declares its silent tool, beats at its start and end only, and clears it", () =>
    Effect.gen(function* () {
      const agent = yield* run(toolSilent({ declaredMs: 2_700_000, workMs: 2_400_000 }), [message(2)])
      yield* seconds(2_399)
      assert.deepStrictEqual((yield* agent.read).tool, {
        tool: "Bash",
        declaredTimeoutMs: 2_700_000,
        startedAt: 1,
      })
      assert.strictEqual(yield* agent.heartbeat, 1)
      yield* seconds(2)
      assert.isNull((yield* agent.read).tool)
      assert.strictEqual(yield* agent.heartbeat, 2_400_001)
      assert.deepStrictEqual(yield* agent.acks, ["m2 completed"])
    }),
  )
})
