/**
 * The people around a simulated daemon: those who send, and repeat until they are answered; those who made the tasks; and those who
 * pause, hold, cancel and release in the middle of everything.
 */
import { Cause, Effect } from "effect"
import { plainGroup } from "../domain/Group.ts"
import { type GroupId, MessageId, SeriesId, type SessionId } from "../domain/Ids.ts"
import { HOUR_MS, MINUTE_MS } from "../domain/Instant.ts"
import { isTerminal } from "../domain/Message.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import type { Fault } from "./FaultPlan.ts"
import type { Ground } from "./Ground.ts"
import type { Requests } from "./Requests.ts"
import {
  groupName,
  type PlannedSend,
  type PlannedTask,
  sessionIndex,
  sessionName,
  type WorldShape,
} from "./WorldShape.ts"

/** Sessions that somebody who makes the rounds looks at. */
const MAX_ROUND = 1_000
const ROUNDS_MS = 30 * MINUTE_MS

/** What an operator does of which it does not matter whether it is refused. */
const fine = (): void => {}

type OperationsService = Operations["Service"]

const control =
  (id: SessionId, what: "stop" | "hold" | "wake" | "release") => (operations: OperationsService) =>
    operations.controlSession({ id, what })

const pause = (id: SeriesId) => (operations: OperationsService) =>
  operations.changeTask({ id, change: { _tag: "Pause", note: null } })

const resume =
  (id: SeriesId, pausedSlots: "catch-up" | "record" = "record") =>
  (operations: OperationsService) =>
    operations.changeTask({ id, change: { _tag: "Resume", pausedSlots } })

/** Makes the group unless it is there. */
export const ensureGroup = (wanted: ReturnType<typeof plainGroup>) =>
  Effect.gen(function* () {
    const store = yield* SessionStore
    if ((yield* store.read((reader) => reader.group(wanted.id))) === undefined)
      yield* Operations.use((operations) => operations.addGroup(wanted))
  })

/** A session that is answered over the channel of the worlds; it may be there. */
export const ensureSession = (id: SessionId, groupId: GroupId) =>
  SessionStore.use((store) =>
    store.resolveSession({
      id,
      groupId,
      mode: "shared",
      address: { channelType: "test", platformId: id, threadId: null },
    }),
  )

/** The groups and sessions of a world; every step may have happened before. */
export const furnishWorld = (shape: WorldShape) =>
  Effect.gen(function* () {
    const operations = yield* Operations
    const store = yield* SessionStore
    const groups = Array.from({ length: shape.groups }, (_, index) => groupName(index))
    for (const id of groups) yield* ensureGroup({ ...plainGroup(id), runnerReoffers: shape.runnerReoffers })
    // A destination names a group that is there.
    const destinations = groups.map((agentGroupId, index) => ({
      name: `group${index}`,
      displayName: null,
      type: "agent" as const,
      channelType: "agent",
      platformId: null,
      agentGroupId,
    }))
    for (const id of groups) {
      const group = yield* store.read((reader) => reader.group(id))
      if (group?.destinations.length === 0) yield* operations.updateGroup({ id, destinations })
    }
    for (let index = 0; index < shape.sessions; index++)
      yield* ensureSession(sessionName(index), groupName(index % shape.groups))
  })

export class Operators {
  private readonly ground: Ground
  private readonly requests: Requests
  private readonly shape: WorldShape
  /** Sends that nobody acknowledged yet. */
  readonly open = new Set<string>()

  constructor(ground: Ground, requests: Requests, shape: WorldShape) {
    this.ground = ground
    this.requests = requests
    this.shape = shape
  }

  /** Schedules everything that the shape plans. */
  plan(): void {
    const { after } = this.ground
    for (const planned of this.shape.sends) after(planned.at, () => this.send(planned))
    for (const task of this.shape.tasks) after(task.at, () => this.addTask(task))
    after(ROUNDS_MS, this.rounds)
  }

  /** Lets everything go on that somebody stopped. */
  releaseAll(): void {
    this.release("any")
    this.allTasks("Resume", resume)
  }

  pauseAll(): void {
    this.allTasks("Pause", pause)
  }

  /** One fault of the plan that is an operator's. */
  readonly meddle = (fault: Fault): void => {
    if (fault.kind === "operator-cancel" || fault.kind === "operator-redrive") this.meddleWithMessage(fault)
    else if (["operator-hold", "operator-stop", "operator-wake"].includes(fault.kind))
      this.meddleWithSession(fault)
    else this.meddleWithTask(fault)
  }

  private meddleWithSession(fault: Fault): void {
    const session = sessionName(fault.session)
    const does = fault.kind === "operator-hold" ? "hold" : fault.kind === "operator-stop" ? "stop" : "wake"
    if (does === "wake") this.ground.truth.mark("wake")
    this.requests.attempt(fault, control(session, does))
    if (does === "hold") this.later(fault, "release", control(session, "release"))
  }

  /** Done at the fault's end, until it is answered. */
  private later<A, E>(
    fault: Fault,
    what: string,
    ask: (operations: OperationsService) => Effect.Effect<A, E>,
  ): void {
    this.ground.after(fault.ms, () => this.requests.insist(what, ask, fine, fine))
  }

  private meddleWithMessage(fault: Fault): void {
    const session = sessionName(fault.session)
    const cancels = fault.kind === "operator-cancel"
    const victim = [...this.ground.watch.messages.values()].findLast(
      (row) => row.sessionId === session && isTerminal(row.state) !== cancels,
    )
    if (victim === undefined) return
    const { id } = victim
    this.requests.attempt(fault, (operations) =>
      cancels ? operations.cancelMessage({ id }) : operations.redriveMessage({ id }),
    )
  }

  private meddleWithTask(fault: Fault): void {
    const { requests } = this
    const tasks = [...this.ground.watch.series.values()].filter(({ status }) => status !== "cancelled")
    const id = tasks[fault.nth % Math.max(1, tasks.length)]?.id
    if (id === undefined) return
    switch (fault.kind) {
      case "operator-pause":
        requests.attempt(fault, pause(id))
        return this.later(fault, "resume", resume(id, fault.nth % 3 === 0 ? "catch-up" : "record"))
      case "operator-update": {
        const recurrence = fault.nth % 2 === 0 ? "every 30m" : "*/25 * * * *"
        const change = { _tag: "Update", change: { prompt: "tock", recurrence } } as const
        return requests.attempt(fault, (operations) => operations.changeTask({ id, change }))
      }
      case "operator-run-now":
        return requests.attempt(fault, (operations) => operations.runTask({ id }))
      case "operator-backfill": {
        const to = this.ground.wall()
        const backfill = { id, name: `again${fault.nth % 2}`, from: to - fault.ms, to }
        return requests.attempt(fault, (operations) => operations.backfillTask(backfill))
      }
    }
  }

  private send(planned: PlannedSend): void {
    const { after, violate, watch } = this.ground
    const { dueInMs, id, onWake, priority, trigger, ttlMs } = planned
    this.open.add(id)
    const dueAt = this.ground.wall() + dueInMs
    const session = sessionName(planned.session)
    const request = (operations: OperationsService) =>
      operations.send({
        id: MessageId.make(id),
        sessionId: session,
        kind: "chat",
        content: { text: id },
        trigger,
        onWake,
        priority,
        dueAt,
        channelType: "test",
        platformId: session,
        ...(ttlMs === null ? {} : { ttlMs }),
      })
    this.requests.insist(`send ${id}`, request, () => {
      this.open.delete(id)
      if (planned.at % 8 === 0) after(planned.at % HOUR_MS, () => this.contradict(planned))
      if (!watch.messages.has(id)) violate(1, `${id} was acknowledged and is not in the ledger`)
    })
  }

  /** The same id with other words is a conflict, also after the message has ended. */
  private contradict({ id, session }: PlannedSend): void {
    const { violate, watch } = this.ground
    const request = (operations: OperationsService) =>
      operations.send({
        id: MessageId.make(id),
        sessionId: sessionName(session),
        kind: "chat",
        content: { text: "something else" },
      })
    const accepted = (): void => {
      if (watch.messages.has(id)) violate(1, `${id} was accepted again with other words`)
    }
    this.requests.insist(`other words for ${id}`, request, accepted, fine)
  }

  private addTask(task: PlannedTask): void {
    const { violate, wall } = this.ground
    const groupId = groupName(task.session % this.shape.groups)
    const id = SeriesId.make(task.id)
    const request = Effect.fnUntraced(function* (operations: OperationsService) {
      const store = yield* SessionStore
      if ((yield* store.read((reader) => reader.series(id))) !== undefined) return
      yield* operations.addTask({
        id,
        groupId,
        sessionId: sessionName(task.session),
        name: null,
        prompt: task.run === undefined ? "tick" : JSON.stringify(task.run),
        script: null,
        schedule: task.schedule,
        zone: null,
        ttlMs: task.ttlMs ?? null,
        ...(task.settings as object),
      })
    })
    this.requests.insist(`task ${task.id}`, request, fine, (cause) => {
      const isLate = (task.settings?.bounds?.endAt ?? Infinity) <= wall() + HOUR_MS
      if (!isLate) violate(1, `task ${task.id} was refused: ${Cause.pretty(cause)}`)
    })
  }

  /** Somebody makes the rounds and releases what was set aside and is well again. */
  private readonly rounds = (): void => {
    this.release("quarantined")
    this.ground.after(ROUNDS_MS, this.rounds)
  }

  private release(which: "quarantined" | "any"): void {
    const { now, weather } = this.ground
    const request = Effect.fnUntraced(function* (operations: OperationsService) {
      const store = yield* SessionStore
      const sessions = yield* store.read((reader) => reader.sessions({}, { limit: MAX_ROUND }))
      for (const { id, status } of sessions) {
        const asked = which === "any" ? status !== "active" : status === "quarantined"
        const isHostile = weather.find("mailbox-hostile", now(), sessionIndex(id)) !== null
        if (asked && !isHostile) yield* control(id, "release")(operations)
      }
    })
    this.requests.insist("releases", request, fine, fine)
  }

  private allTasks(what: string, ask: typeof pause): void {
    for (const { id, status } of this.ground.watch.series.values()) {
      if (status === "cancelled" || status === "completed") continue
      this.requests.insist(what, ask(id), fine, fine)
    }
  }
}
