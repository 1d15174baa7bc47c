/** Requests about recurring tasks: their making and changing, runs out of turn, and what is told of one. */
import { Clock, Effect } from "effect"
import { nowhere } from "../../domain/Address.ts"
import { MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import { describeSchedule } from "../../domain/Recurrence.ts"
import { statisticsOf } from "../../domain/Run.ts"
import { previewOf } from "../../domain/SeriesSlots.ts"
import { newId } from "../Ids.ts"
import { findSeries } from "../ledger/FindSeries.ts"
import type { Nudge } from "../Nudge.ts"
import { SessionStore } from "../SessionStore.ts"
import type { InputOf } from "./Contract.ts"
import { existing, pageOf } from "./Lookup.ts"
import { MAX_PAGE, type TaskReport } from "./Requests.ts"

/** Instants and runs that a task's report shows. */
const SHOWN_SLOTS = 3
const SHOWN_RUNS = 30

export const makeTaskRequests = Effect.fnUntraced(function* (options: { readonly look: Nudge }) {
  const store = yield* SessionStore
  const looked = Effect.tap(options.look.ring)

  return {
    addTask: Effect.fnUntraced(function* (request: InputOf<"addTask">) {
      const { groupId, sessionId, schedule, ...settings } = request
      const session = yield* store.findSession({ groupId, sessionId }, SessionId.make(yield* newId("s")))
      const id = settings.id ?? SeriesId.make(yield* newId("t"))
      return yield* looked(
        store.createSeries(session.id, {
          priority: 1,
          ...settings,
          id,
          schedule: { recurrence: schedule },
          ...nowhere,
        }),
      )
    }),
    changeTask: ({ id, change }: InputOf<"changeTask">) => looked(store.changeSeries(id, change)),
    runTask: Effect.fnUntraced(function* ({ id }: InputOf<"runTask">) {
      return yield* looked(store.runSeriesNow(id, MessageId.make(yield* newId("run"))))
    }),
    backfillTask: ({ id, ...request }: InputOf<"backfillTask">) => looked(store.backfillSeries(id, request)),
    task: Effect.fnUntraced(function* ({ id, count = SHOWN_SLOTS }: InputOf<"task">) {
      const now = yield* Clock.currentTimeMillis
      const read = store.read((reader): TaskReport | undefined => {
        const task = findSeries(reader, id)
        if (task === undefined) return undefined
        const runs = reader.runs({ seriesId: task.id }, { limit: MAX_PAGE })
        const next =
          task.status !== "active" || task.nextSlot === null
            ? []
            : [task.nextSlot, ...previewOf(task, Math.max(now, task.nextSlot), count - 1)]
        return {
          task,
          words: describeSchedule(task.schedule),
          next,
          runs: runs.slice(0, SHOWN_RUNS),
          statistics: statisticsOf(runs),
        }
      })
      return yield* Effect.flatMap(read, existing("task", id))
    }),
    tasks: ({ groupId, sessionId, status, ...page }: InputOf<"tasks"> = {}) =>
      store.read((reader) => reader.seriesList({ groupId, sessionId, status }, pageOf(page))),
  }
})
