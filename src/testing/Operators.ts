/**
 * The people around a simulated daemon: those who send, and repeat until they are answered; those who made the tasks; and those who
 * pause, hold, cancel and release in the middle of everything. Nobody here believes that anything happened before it was answered.
 */
import { Cause, Effect, Exit } from "effect"
import { GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../domain/Instant.ts"
import { isTerminal } from "../domain/Message.ts"
import { Operations } from "../services/Operations.ts"
import { SessionStore } from "../services/SessionStore.ts"
import type { Fault } from "./FaultPlan.ts"
import type { DaemonServices } from "./SimulatedDaemon.ts"
import type { World } from "./World.ts"
import type { PlannedSend, PlannedTask } from "./WorldShape.ts"
import { plainGroup } from "../domain/Group.ts"

export interface Operators {
  /** Schedules everything that the shape plans. */
  readonly plan: () => void
  /** Called when a daemon is up: makes what is not there yet. */
  readonly settle: () => void
  /** One fault of the plan that is an operator's. */
  readonly meddle: (fault: Fault) => void
  /** Lets everything go on that somebody stopped. */
  readonly releaseAll: () => void
  readonly pauseAll: () => void
  /** Sends that nobody acknowledged yet. */
  readonly unanswered: () => number
}

export const sessionName = (index: number): SessionId => SessionId.make(`s${index}`)

/** The session's number; of an isolated run, that of its task's session. -1: the plan does not know it. */
export const sessionIndex = (id: string): number => Number(/^s(\d+)(?:-i\d+)?$/.exec(id)?.[1] ?? -1)

/** Sessions that somebody who makes the rounds looks at. */
const MAX_ROUND = 1_000
const RETRY_MS = 30 * SECOND_MS
const ROUNDS_MS = 30 * MINUTE_MS

/** Asked again later: the daemon is down, its disk is full, or the answer was lost. */
const isPassing = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.every(
    (reason) =>
      reason._tag === "Fail" &&
      ["LedgerError", "Full"].includes((reason.error as { _tag?: string })._tag ?? ""),
  )

export const makeOperators = (world: World): Operators => {
  const { after, trace, truth, violate, watch, weather } = world
  const { shape } = world.options
  const now = (): number => world.host.now()
  let settled: "no" | "asked" | "yes" = "no"
  const open = new Set<string>()

  /** Asks until there is an answer; `done` gets it. Refusals other than passing ones go to `refused`. */
  const insist = <A, E>(
    name: string,
    request: Effect.Effect<A, E, DaemonServices>,
    done: (answer: A) => void,
    refused: (cause: Cause.Cause<E>) => void,
  ): void => {
    const again = (): void => after(RETRY_MS, () => insist(name, request, done, refused))
    const daemon = world.daemon()
    if (settled === "no" || daemon === null || !daemon.isReady()) return again()
    daemon.operate(request, (answer) => {
      if (answer === null) return again()
      trace.note(now(), `${name}: ${answer._tag}`)
      if (Exit.isSuccess(answer)) return done(answer.value)
      if (isPassing(answer.cause)) return again()
      refused(answer.cause)
    })
  }

  const fine = (): void => {}
  const broken =
    (name: string) =>
    (cause: Cause.Cause<unknown>): void =>
      violate(1, `${name} was refused: ${Cause.pretty(cause)}`)

  /** Groups and sessions; every step may have happened before the daemon died. */
  const furnish = Effect.gen(function* () {
    const operations = yield* Operations
    const store = yield* SessionStore
    for (let index = 0; index < shape.groups; index++) {
      const id = GroupId.make(`g${index}`)
      if ((yield* store.read((reader) => reader.group(id))) !== undefined) continue
      yield* operations.addGroup({
        ...plainGroup(id),
        destinations: Array.from({ length: shape.groups }, (_, other) => ({
          name: `group${other}`,
          displayName: null,
          type: "agent" as const,
          channelType: "agent",
          platformId: null,
          agentGroupId: GroupId.make(`g${other}`),
        })),
        runnerReoffers: shape.runnerReoffers,
      })
    }
    for (let index = 0; index < shape.sessions; index++) {
      yield* store.resolveSession({
        id: sessionName(index),
        groupId: GroupId.make(`g${index % shape.groups}`),
        mode: "shared",
        address: { channelType: "test", platformId: sessionName(index), threadId: null },
      })
    }
  })

  const settle = (): void => {
    if (settled !== "no") return
    const daemon = world.daemon()
    if (daemon === null) return
    settled = "asked"
    daemon.operate(furnish, (answer) => {
      if (answer !== null && Exit.isSuccess(answer)) {
        settled = "yes"
        return
      }
      settled = "no"
      if (answer !== null && !isPassing(answer.cause)) return broken("furnishing")(answer.cause)
      after(RETRY_MS, settle)
    })
  }

  /** The same id with other words is a conflict, also after the message has ended. */
  const contradict = (planned: PlannedSend): void => {
    const request = Effect.flatMap(Operations, (operations) =>
      operations.send({
        id: MessageId.make(planned.id),
        sessionId: sessionName(planned.session),
        kind: "chat",
        content: { text: "something else" },
      }),
    )
    insist(
      `other words for ${planned.id}`,
      request,
      () => {
        if (watch.messages.has(planned.id)) violate(1, `${planned.id} was accepted again with other words`)
      },
      fine,
    )
  }

  const send = (planned: PlannedSend): void => {
    open.add(planned.id)
    const dueAt = world.host.wall() + planned.dueInMs
    const request = Effect.flatMap(Operations, (operations) =>
      operations.send({
        id: MessageId.make(planned.id),
        sessionId: sessionName(planned.session),
        kind: "chat",
        content: { text: planned.id },
        trigger: planned.trigger,
        onWake: planned.onWake,
        priority: planned.priority,
        dueAt,
        channelType: "test",
        platformId: sessionName(planned.session),
        ...(planned.ttlMs === null ? {} : { ttlMs: planned.ttlMs }),
      }),
    )
    insist(
      `send ${planned.id}`,
      request,
      () => {
        open.delete(planned.id)
        truth.acknowledged.add(planned.id)
        if (planned.at % 8 === 0) after(planned.at % HOUR_MS, () => contradict(planned))
        if (!watch.messages.has(planned.id))
          violate(1, `${planned.id} was acknowledged and is not in the ledger`)
      },
      broken(`send ${planned.id}`),
    )
  }

  const addTask = (task: PlannedTask): void => {
    const request = Effect.gen(function* () {
      const store = yield* SessionStore
      if ((yield* store.read((reader) => reader.series(SeriesId.make(task.id)))) !== undefined) return
      const operations = yield* Operations
      const session = sessionName(task.session)
      yield* operations.addTask({
        id: SeriesId.make(task.id),
        groupId: GroupId.make(`g${task.session % shape.groups}`),
        sessionId: session,
        name: null,
        prompt: task.run === undefined ? "tick" : JSON.stringify(task.run),
        script: null,
        schedule: task.schedule,
        zone: null,
        ttlMs: task.ttlMs ?? null,
        ...(task.settings as object),
      })
    })
    const isLate = (): boolean => (task.settings?.bounds?.endAt ?? Infinity) <= world.host.wall() + HOUR_MS
    insist(`task ${task.id}`, request, fine, (cause) =>
      isLate() ? undefined : broken(`task ${task.id}`)(cause),
    )
  }

  /** Something that an operator tries once and forgets. */
  const attempt = <A, E>(fault: Fault, request: Effect.Effect<A, E, DaemonServices>): void => {
    const daemon = world.daemon()
    if (daemon === null || !daemon.isReady() || settled !== "yes") return
    weather.count(fault)
    daemon.operate(request, (answer) => {
      trace.note(now(), `${fault.kind} #${fault.id}: ${answer === null ? "no answer" : answer._tag}`)
      if (answer !== null && Exit.isFailure(answer) && Cause.hasDies(answer.cause))
        violate(0, `${fault.kind} broke the daemon: ${Cause.pretty(answer.cause)}`)
    })
  }

  const control = (session: SessionId, what: "stop" | "hold" | "wake" | "release") =>
    Effect.flatMap(Operations, (operations) => operations.controlSession({ id: session, what }))

  const changeTask = (id: string, change: "Pause" | "Resume" | "CatchUp") =>
    Effect.flatMap(Operations, (operations) =>
      operations.changeTask({
        id: SeriesId.make(id),
        change:
          change === "Pause"
            ? { _tag: "Pause", note: null }
            : { _tag: "Resume", pausedSlots: change === "CatchUp" ? "catch-up" : "record" },
      }),
    )

  const meddle = (fault: Fault): void => {
    const session = sessionName(fault.session)
    const tasks = [...watch.series.values()].filter(({ status }) => status !== "cancelled")
    const task = tasks[fault.nth % Math.max(1, tasks.length)]
    const messages = [...watch.messages.values()].filter((row) => row.sessionId === session)
    switch (fault.kind) {
      case "operator-hold":
        attempt(fault, control(session, "hold"))
        return after(fault.ms, () => insist("release", control(session, "release"), fine, fine))
      case "operator-stop":
        return attempt(fault, control(session, "stop"))
      case "operator-wake":
        truth.wokenAt = now()
        return attempt(fault, control(session, "wake"))
      case "operator-cancel": {
        const victim = messages.findLast(({ state }) => !isTerminal(state))
        if (victim === undefined) return
        return attempt(
          fault,
          Effect.flatMap(Operations, (operations) => operations.cancelMessage({ id: victim.id })),
        )
      }
      case "operator-redrive": {
        const victim = messages.findLast(({ state }) => isTerminal(state))
        if (victim === undefined) return
        return attempt(
          fault,
          Effect.flatMap(Operations, (operations) => operations.redriveMessage({ id: victim.id })),
        )
      }
      case "operator-pause":
        if (task === undefined) return
        attempt(fault, changeTask(task.id, "Pause"))
        return after(fault.ms, () =>
          insist("resume", changeTask(task.id, fault.nth % 3 === 0 ? "CatchUp" : "Resume"), fine, fine),
        )
      case "operator-update":
        if (task === undefined) return
        return attempt(
          fault,
          Effect.flatMap(Operations, (operations) =>
            operations.changeTask({
              id: task.id,
              change: {
                _tag: "Update",
                change: { prompt: "tock", recurrence: fault.nth % 2 === 0 ? "every 30m" : "*/25 * * * *" },
              },
            }),
          ),
        )
      case "operator-run-now":
        if (task === undefined) return
        return attempt(
          fault,
          Effect.flatMap(Operations, (operations) => operations.runTask({ id: task.id })),
        )
      case "operator-backfill": {
        if (task === undefined) return
        const to = world.host.wall()
        return attempt(
          fault,
          Effect.flatMap(Operations, (operations) =>
            operations.backfillTask({ id: task.id, name: `again${fault.nth % 2}`, from: to - fault.ms, to }),
          ),
        )
      }
      default:
        return
    }
  }

  /** Somebody makes the rounds and releases what was set aside and is well again. */
  const release = (which: "quarantined" | "any"): void => {
    const request = Effect.gen(function* () {
      const store = yield* SessionStore
      const sessions = yield* store.read((reader) => reader.sessions({}, { limit: MAX_ROUND }))
      for (const { id, status } of sessions) {
        const asked = which === "any" ? status !== "active" : status === "quarantined"
        const isHostile = weather.find("mailbox-hostile", now(), sessionIndex(id)) !== null
        if (asked && !isHostile) yield* control(id, "release")
      }
    })
    insist("releases", request, fine, fine)
  }
  const rounds = (): void => {
    release("quarantined")
    after(ROUNDS_MS, rounds)
  }

  const allTasks = (tag: "Pause" | "Resume"): void => {
    for (const { id, status } of watch.series.values()) {
      if (status === "cancelled" || status === "completed") continue
      insist(tag, changeTask(id, tag), fine, fine)
    }
  }

  return {
    plan: () => {
      for (const planned of shape.sends) after(planned.at, () => send(planned))
      for (const task of shape.tasks) after(task.at, () => addTask(task))
      after(ROUNDS_MS, rounds)
    },
    settle,
    meddle,
    releaseAll: () => {
      release("any")
      allTasks("Resume")
    },
    pauseAll: () => allTasks("Pause"),
    unanswered: () => open.size,
  }
}
