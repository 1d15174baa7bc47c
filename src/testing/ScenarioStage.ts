/** What a scenario plans, brought about at its time: messages, tasks, outages, and what operators do. */
import { Effect } from "effect"
import { plainGroup } from "../domain/Group.ts"
import { GroupId } from "../domain/Ids.ts"
import type { Operations } from "../services/Operations.ts"
import type { Ground } from "./Ground.ts"
import { engineDown } from "./Havoc.ts"
import { ensureGroup, ensureSession } from "./Operators.ts"
import type { Requests } from "./Requests.ts"
import { msOf, type ReadScenario, repeatsOf } from "./Scenario.ts"

const groupOf = (session: ReadScenario["sessions"][number]): GroupId =>
  session.group ?? GroupId.make("agents")

/** Groups and sessions; repeatable. */
export const furnishScenario = (scenario: ReadScenario) =>
  Effect.forEach(scenario.sessions, (session) =>
    Effect.andThen(ensureGroup(plainGroup(groupOf(session))), ensureSession(session.id, groupOf(session))),
  )

export interface Stage {
  readonly ground: Ground
  readonly requests: Requests
  /** Kills the daemon, for so long. */
  readonly crash: (ms: number) => void
}

/** Everything that the scenario plans, at its time. */
export const schedule = (scenario: ReadScenario, stage: Stage): void => {
  planSends(scenario, stage)
  planTasks(scenario, stage)
  planOutages(scenario, stage)
  planOperators(scenario, stage)
}

const planSends = (scenario: ReadScenario, { ground, requests }: Stage): void => {
  for (const planned of scenario.sends ?? []) {
    const every = msOf(planned.every)
    const times = repeatsOf(scenario, planned)
    for (let n = 0; n < times; n++) {
      const id = (every === 0 ? planned.id : `${planned.id}-${n + 1}`) as typeof planned.id
      ground.after(msOf(planned.at) + n * every, () => {
        const message = {
          id,
          sessionId: planned.to,
          kind: "chat" as const,
          content: { text: id },
          dueAt: ground.wall() + msOf(planned.due),
          channelType: "test",
          platformId: planned.to,
          ...(planned.ttl === undefined ? {} : { ttlMs: msOf(planned.ttl) }),
        }
        requests.insist(`message ${id}`, (operations) => operations.send(message))
      })
    }
  }
}

const planTasks = (scenario: ReadScenario, { ground, requests }: Stage): void => {
  for (const task of scenario.tasks ?? []) {
    const session = scenario.sessions.find(({ id }) => id === task.in)
    if (session === undefined) continue
    const wanted = {
      id: task.id,
      groupId: groupOf(session),
      sessionId: task.in,
      name: null,
      prompt: task.id,
      script: null,
      schedule: task.schedule,
      zone: null,
      ttlMs: task.ttl === undefined ? null : msOf(task.ttl),
      ...(task.overlap === undefined ? {} : { overlap: task.overlap }),
      ...(task.catchUp === undefined ? {} : { catchUp: task.catchUp }),
    }
    ground.after(msOf(task.at), () =>
      requests.insist(`task ${task.id}`, (operations) => operations.addTask(wanted)),
    )
  }
}

const planOutages = (scenario: ReadScenario, { crash, ground }: Stage): void => {
  const { after, now, weather } = ground
  for (const [id, { at, lasts, what }] of (scenario.outages ?? []).entries()) {
    const ms = msOf(lasts)
    after(msOf(at), () => {
      if (what === "daemon-down") return crash(ms)
      const fault = { id, kind: what, at: now(), session: 0, ms, nth: 1 }
      if (what === "engine-down") engineDown(ground, fault)
      else weather.begin(fault, now())
    })
  }
}

const planOperators = (scenario: ReadScenario, { ground, requests }: Stage): void => {
  for (const { at, does, message, session, task } of scenario.operators ?? []) {
    const ask = <A, E>(whom: string, f: (operations: Operations["Service"]) => Effect.Effect<A, E>): void =>
      requests.insist(`${does} ${whom}`, f)
    ground.after(msOf(at), () => {
      if (session !== undefined)
        ask(session, (operations) => operations.controlSession({ id: session, what: does as "stop" }))
      if (message !== undefined)
        ask(message, (operations) =>
          does === "redrive"
            ? operations.redriveMessage({ id: message })
            : operations.cancelMessage({ id: message }),
        )
      if (task !== undefined)
        ask(task, (operations) =>
          operations.changeTask({
            id: task,
            change:
              does === "pause"
                ? { _tag: "Pause", note: null }
                : { _tag: does === "resume" ? "Resume" : "Cancel" },
          }),
        )
    })
  }
}
