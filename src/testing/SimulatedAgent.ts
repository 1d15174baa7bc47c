/**
 * The agents of a simulated world: the scripted runner of the in-memory layers, at work for a random while, and struck by the
 * faults that the plan holds for its session. Each one writes down in the ground truth what it really did.
 */
import { Clock, Deferred, Effect, Option, Schema } from "effect"
import { OutboundId } from "../domain/Ids.ts"
import { MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import { type AgentWorld, makeAgentWorld } from "../layers/memory/AgentWorld.ts"
import { ContainerSide, type InboundRow } from "../layers/memory/MemoryMailbox.ts"
import type { AgentScript } from "../layers/memory/SimulatedEngine.ts"
import type { LaunchSpec } from "../services/ContainerRuntime.ts"
import type { Fault } from "./FaultPlan.ts"
import type { Ground } from "./Ground.ts"
import { type ContainerTruth, GroundTruth } from "./GroundTruth.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import type { Moods } from "./Weather.ts"
import { homeOf, TaskRun, type WorldShape } from "./WorldShape.ts"

/** What the agents have of the world that they live in. */
export interface AgentSurroundings {
  readonly ground: Ground
  readonly moods: Moods
  readonly shape: WorldShape
}

/** Well below every claim tolerance. */
const BEAT_MS = 25 * SECOND_MS
const A_YEAR_MS = 365 * 86_400_000

type Ending = "next" | { readonly exit: number }
const QUIT: Ending = { exit: 0 }

/** Everything that one life of an agent needs at hand. */
interface Life {
  readonly me: AgentWorld
  readonly side: ContainerSide["Service"]
  readonly truth: ContainerTruth
  readonly random: SeededRandom
  readonly around: AgentSurroundings
}

/** Writes the truth down beside each write. */
const observed = (
  side: ContainerSide["Service"],
  truth: ContainerTruth,
  now: () => number,
): ContainerSide["Service"] => ({
  ...side,
  ack: (pair, messageId, status, more, at) =>
    Effect.tap(side.ack(pair, messageId, status, more, at), () =>
      Effect.sync(() => {
        truth.acked.add(messageId)
        if (status === "failed" && more.detail?.retryable === false) truth.refused.add(messageId)
        if (status === "processing") truth.claims.set(messageId, now())
        else truth.claims.delete(messageId)
      }),
    ),
  unack: (pair, messageId) =>
    Effect.tap(side.unack(pair, messageId), () => Effect.sync(() => truth.claims.delete(messageId))),
  beat: (pair, at) =>
    Effect.tap(side.beat(pair, at), () =>
      Effect.sync(() => {
        if (truth.beatAt !== now()) truth.beatBefore = truth.beatAt
        truth.beatAt = now()
      }),
    ),
})

/** A clock that shows another time, and sleeps as long. */
const skewed = (clock: Clock.Clock, ms: number): Clock.Clock => {
  if (ms === 0) return clock
  const millis = (): number => clock.currentTimeMillisUnsafe() + ms
  return { ...clock, currentTimeMillisUnsafe: millis, currentTimeMillis: Effect.sync(millis) }
}

/** The script of each launch in a world. */
export const simulatedAgent =
  (around: AgentSurroundings) =>
  (spec: LaunchSpec, launch: number): AgentScript<ContainerSide> => {
    const { ground, moods, shape } = around
    const { now, violate, watch } = ground
    const { session, incarnation } = spec.labels
    const truth = ground.truth.born(session, incarnation)
    const random = ground.random.fork(`agents/${session}/${launch}`)
    const fault = moods.take(homeOf(session), "launch")
    return (process) =>
      Effect.gen(function* () {
        const side = observed(yield* ContainerSide, truth, now)
        const me = yield* makeAgentWorld(process).pipe(Effect.provideService(ContainerSide, side))
        return yield* live({ me, side, truth, random, around }, fault)
      }).pipe(
        Effect.updateService(Clock.Clock, (clock) => skewed(clock, shape.agentSkewMs)),
        Effect.onInterrupt(() =>
          fault?.kind === "agent-late-exit" && !ground.truth.rebooting ? Effect.sleep(fault.ms) : Effect.void,
        ),
        Effect.catchDefect((defect) =>
          Effect.sync(() => {
            const key = GroundTruth.key(session, incarnation)
            // A container that nobody waits for any more may find its files gone.
            if (watch.incarnations.get(key)?.phase !== "ended")
              violate(3, `the agent of ${key} broke: ${String(defect)}`)
            return 70
          }),
        ),
        Effect.onExit(() =>
          Effect.sync(() => {
            truth.diedAt ??= now()
            truth.death ??= truth.signalledAt === null ? "itself" : "daemon"
          }),
        ),
      )
  }

const live = Effect.fnUntraced(function* (life: Life, fault: Fault | null) {
  const { me, random } = life
  const { moods, shape } = life.around
  if (fault?.kind === "agent-crash-at-start") {
    yield* me.sleep(random.magnitude(1, SECOND_MS))
    return 1
  }
  if (fault?.kind === "agent-never-claims") {
    yield* Deferred.await(me.sigterm)
    return 0
  }
  // Some images take long to come up.
  yield* me.sleep(random.chance(0.05) ? random.between(10_000, 60_000) : random.magnitude(20, 3 * SECOND_MS))
  while (!Deferred.isDoneUnsafe(me.sigterm)) {
    const batch = yield* me.poll
    if (batch.length === 0) {
      yield* me.sleep(shape.agentPollMs)
      continue
    }
    const struck = moods.take(homeOf(life.truth.session), "turn")
    if (struck?.kind === "poison-message") moods.poison.add((batch[0] as InboundRow).id)
    if (struck?.kind === "agent-future-times") yield* claimInTheFuture(life, batch)
    else yield* me.claim(batch)
    const ending = yield* turn(life, batch, struck)
    if (ending !== "next") return ending.exit
  }
  if (fault?.kind === "agent-late-exit") yield* Effect.sleep(fault.ms)
  return 0
})

/** Works for a while with a heartbeat now and then; whether nobody told it to stop meanwhile. */
const work = Effect.fnUntraced(function* ({ me }: Life, workMs: number) {
  yield* me.beat
  for (let left = workMs; left > 0; left -= BEAT_MS) {
    if ((yield* me.sleep(Math.min(left, BEAT_MS))) === "sigterm") return false
    yield* me.beat
  }
  return true
})

/** A task that says in its prompt what its runs are like. */
const decodeTask = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ prompt: Schema.fromJsonString(TaskRun) })),
)

/** What the task of this batch asks for, where it asks for anything. */
const taskRun = (batch: ReadonlyArray<InboundRow>): TaskRun | null => {
  const task = batch.find(({ kind }) => kind === "task")
  return task === undefined ? null : (Option.getOrNull(decodeTask(task.content))?.prompt ?? null)
}

/** One turn: the batch is claimed; what becomes of it depends on what strikes. */
const turn = Effect.fnUntraced(function* (
  life: Life,
  batch: ReadonlyArray<InboundRow>,
  fault: Fault | null,
): Effect.fn.Return<Ending> {
  const { me, truth, random } = life
  const asked = taskRun(batch)
  const workMs = asked?.workMs ?? random.magnitude(100, 90 * SECOND_MS)
  const giveBack = Effect.suspend(() => Effect.as(me.release(batch), QUIT))
  const answer = Effect.as(me.answer(batch, `done ${batch.map(({ id }) => id).join(" ")}`), "next" as const)
  const poisoned = batch.some(({ id }) => life.around.moods.poison.has(id))
  if (poisoned || fault?.kind === "agent-crash")
    return (yield* work(life, Math.min(workMs, 20 * SECOND_MS))) ? { exit: 139 } : yield* giveBack
  switch (fault?.kind) {
    case "agent-hang":
      yield* Deferred.await(me.sigterm)
      return yield* giveBack
    case "agent-deaf":
      yield* me.beat
      return yield* Effect.never
    case "agent-fails":
    case "agent-refuses":
      if (!(yield* work(life, workMs))) return yield* giveBack
      yield* me.fail(batch, { retryable: fault.kind === "agent-fails", error: "it did not work" })
      return "next"
    case "agent-silent-tool": {
      truth.excusedUntil = life.around.ground.now() + fault.ms
      yield* me.tool({ name: "Bash", declaredMs: fault.ms })
      const slept = yield* me.sleep(Math.round(fault.ms * 0.9))
      yield* me.tool(null)
      truth.excusedUntil = 0
      return yield* slept === "sigterm" ? giveBack : answer
    }
    case "agent-slow":
      return yield* (yield* work(life, fault.ms)) ? answer : giveBack
    case "agent-lies":
      yield* lie(life)
      break
    case "agent-duplicate-id":
      yield* repeatIds(life)
      break
    case "agent-gives-back":
      yield* me.beat
      yield* me.release(batch)
      yield* me.doorbell
      yield* me.sleep(random.magnitude(SECOND_MS, 20 * SECOND_MS))
      return "next"
    default:
      break
  }
  if (!(yield* work(life, workMs))) return yield* giveBack
  if (asked?.ends === "badly") {
    yield* me.fail(batch, { retryable: false, error: "this task never works" })
    return "next"
  }
  if (random.chance(0.15)) yield* doMore(life)
  if (random.chance(0.3)) yield* saySome(life)
  return yield* answer
})

/** Writes a row of its own, now by its own clock. */
const write = (
  { me, side }: Life,
  id: string,
  content: object,
  row: { readonly kind?: string; readonly [field: string]: unknown } = {},
) =>
  Effect.flatMap(me.now, (at) =>
    side.write(me.pair, { id: OutboundId.make(id), content: JSON.stringify(content), ...row }, at),
  )

/** An answer in several parts. */
const saySome = Effect.fnUntraced(function* (life: Life) {
  const { truth, random, around } = life
  for (let part = random.between(1, 3); part > 0; part--)
    yield* write(life, `part-${truth.incarnation}-${around.ground.now()}-${part}`, { text: `part ${part}` })
})

/** What agents do besides answering: say more, now or later; make and change tasks; write to another group. */
const doMore = Effect.fnUntraced(function* (life: Life) {
  const { me, truth, random, around } = life
  const at = yield* me.now
  const name = `${truth.incarnation}-${around.ground.now()}`
  const system = (content: object) => write(life, `act-${name}`, content, { kind: "system" })
  const taskId = `t${random.below(3)}`
  switch (random.below(6)) {
    case 0:
      return yield* write(life, `more-${name}`, { text: "more" })
    case 1: {
      const deliverAfter = at + random.magnitude(SECOND_MS, 10 * MINUTE_MS)
      return yield* write(life, `later-${name}`, { text: "later" }, { deliverAfter })
    }
    case 2:
      return yield* system({
        action: "schedule_task",
        taskId: `own-${truth.session}-${name}`,
        prompt: "remember",
        processAfter: new Date(at + random.magnitude(SECOND_MS, 60 * MINUTE_MS)).toISOString(),
      })
    case 3:
      return yield* system({ action: random.pick(["pause_task", "resume_task"]), taskId })
    case 4:
      return yield* system({ action: "update_task", taskId, prompt: "changed", recurrence: "every 50m" })
    default: {
      const to = { channelType: "agent", platformId: `g${random.below(2)}` }
      return yield* write(life, `to-${name}`, { text: "for another group" }, to)
    }
  }
})

/** Its clock is a year ahead: its claims, heartbeats and tools say so. */
const claimInTheFuture = Effect.fnUntraced(function* (life: Life, batch: ReadonlyArray<InboundRow>) {
  const { me, side } = life
  const at = (yield* me.now) + A_YEAR_MS
  yield* me.claim(batch)
  for (const row of batch) yield* side.ack(me.pair, row.id, "processing", { tries: row.tries }, at)
  yield* side.beat(me.pair, at)
  yield* side.setTool(me.pair, { tool: "Bash", declaredTimeoutMs: A_YEAR_MS, startedAt: at })
  yield* me.sleep(2 * SECOND_MS)
  yield* side.setTool(me.pair, null)
})

/** Acks what was never its own, and asks for what it may not have. */
const lie = Effect.fnUntraced(function* (life: Life) {
  const { me, side, random } = life
  const { incarnation, session } = life.truth
  const { now, watch } = life.around.ground
  const at = yield* me.now
  const foreign = [...watch.messages.values()].filter((message) => message.sessionId !== session)
  for (const { id } of foreign.slice(-3)) {
    yield* side.ack(me.pair, id, random.pick(["processing", "completed", "failed"] as const), {}, at)
  }
  yield* side.ack(me.pair, "never-was", "completed", {}, at)
  const name = `lie-${incarnation}-${now()}`
  const elsewhere = { channelType: "test", platformId: "somebody-else" }
  yield* write(life, `${name}-elsewhere`, { text: "psst" }, elsewhere)
  // An isolated run may change the tasks of the session that it was made for.
  const taskId = [...watch.series.values()].find((task) => task.sessionId !== homeOf(session))?.id
  const content = { action: "cancel_task", taskId: taskId ?? "t0-of-nobody" }
  yield* write(life, `${name}-system`, content, { kind: "system" })
})

/** Uses an id of its last life again, and one of its own twice with other content. */
const repeatIds = Effect.fnUntraced(function* (life: Life) {
  const { incarnation } = life.truth
  for (const id of [`out-${Math.max(1, incarnation - 1)}-1`, `out-${incarnation}-1`])
    yield* write(life, id, { text: "again" })
  yield* life.me.doorbell
})
