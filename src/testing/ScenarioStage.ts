/** What a scenario plans, brought about at its time: messages, tasks, outages, and what operators do. */
import { Effect } from "effect"
import { GroupId } from "../domain/Ids.ts"
import type { SimulatedEngine } from "../layers/memory/SimulatedEngine.ts"
import { Operations } from "../services/Operations.ts"
import { msOf, type ReadScenario, repeatsOf } from "./Scenario.ts"
import type { DaemonServices } from "./SimulatedDaemon.ts"
import type { Weather } from "./Weather.ts"

export const groupOf = (session: ReadScenario["sessions"][number]): GroupId =>
  session.group ?? GroupId.make("agents")

export interface Stage {
  readonly after: (ms: number, task: () => void) => void
  readonly insist: (what: string, request: Effect.Effect<unknown, unknown, DaemonServices>) => void
  readonly weather: Weather
  readonly engine: SimulatedEngine["Service"]
  readonly now: () => number
  readonly wall: () => number
  readonly down: (ms: number) => void
}

/** Everything that the scenario plans, at its time. */
export const schedule = (scenario: ReadScenario, stage: Stage): void => {
  const { after, insist, weather, engine } = stage
  const operate = <A, E>(f: (operations: Operations["Service"]) => Effect.Effect<A, E>) =>
    Effect.flatMap(Operations, f)

  for (const planned of scenario.sends ?? []) {
    const every = planned.every === undefined ? 0 : msOf(planned.every)
    const times = repeatsOf(scenario, planned)
    for (let n = 0; n < times; n++) {
      const id = (every === 0 ? planned.id : `${planned.id}-${n + 1}`) as typeof planned.id
      after(msOf(planned.at) + n * every, () => {
        const dueAt = stage.wall() + (planned.due === undefined ? 0 : msOf(planned.due))
        insist(
          `message ${id}`,
          operate((operations) =>
            operations.send({
              id,
              sessionId: planned.to,
              kind: "chat",
              content: { text: id },
              dueAt,
              channelType: "test",
              platformId: planned.to,
              ...(planned.ttl === undefined ? {} : { ttlMs: msOf(planned.ttl) }),
            }),
          ),
        )
      })
    }
  }
  for (const task of scenario.tasks ?? []) {
    const session = scenario.sessions.find(({ id }) => id === task.in)
    if (session === undefined) continue
    after(task.at === undefined ? 0 : msOf(task.at), () =>
      insist(
        `task ${task.id}`,
        operate((operations) =>
          operations.addTask({
            id: task.id,
            groupId: groupOf(session),
            sessionId: task.in,
            name: null,
            prompt: task.id,
            script: null,
            schedule: task.schedule,
            zone: null,
            ttlMs: task.ttl === undefined ? null : msOf(task.ttl),
          }),
        ),
      ),
    )
  }
  for (const [id, outage] of (scenario.outages ?? []).entries()) {
    const ms = msOf(outage.lasts)
    after(msOf(outage.at), () => {
      if (outage.what === "daemon-down") return stage.down(ms)
      weather.begin({ id, kind: outage.what, at: stage.now(), session: 0, ms, nth: 1 }, stage.now())
      if (outage.what !== "engine-down") return
      Effect.runSync(engine.down)
      after(ms, () => {
        if (weather.find("engine-down", stage.now()) === null) Effect.runSync(engine.up)
      })
    })
  }
  for (const { at, does, message, session, task } of scenario.operators ?? []) {
    after(msOf(at), () => {
      if (session !== undefined)
        insist(
          `${does} ${session}`,
          operate((operations) => operations.controlSession({ id: session, what: does as "stop" })),
        )
      if (message !== undefined)
        insist(
          `${does} ${message}`,
          operate((operations) =>
            does === "redrive"
              ? operations.redriveMessage({ id: message })
              : operations.cancelMessage({ id: message }),
          ),
        )
      if (task !== undefined)
        insist(
          `${does} ${task}`,
          operate((operations) =>
            operations.changeTask({
              id: task,
              change:
                does === "pause"
                  ? { _tag: "Pause", note: null }
                  : does === "resume"
                    ? { _tag: "Resume" }
                    : { _tag: "Cancel" },
            }),
          ),
        )
    })
  }
}
