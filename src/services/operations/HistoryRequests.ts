/** Requests about the whole: what ran, what happened, and how Lamplighter stands now. */
import { Clock, Effect } from "effect"
import { formatExchangeTime } from "../../domain/ExchangeTime.ts"
import { describeGroupContainer } from "../../domain/Group.ts"
import type { Incarnation } from "../../domain/Incarnation.ts"
import { clockWarning } from "../ledger/ClockJumps.ts"
import { SessionStore } from "../SessionStore.ts"
import { Sweep } from "../Sweep.ts"
import type { Failing } from "../Trouble.ts"
import type { InputOf } from "./Contract.ts"
import { only, pageOf } from "./Lookup.ts"
import { DEFAULT_PAGE, type Status } from "./Requests.ts"

/** Later than any instant that a ledger holds. */
const FAR_FUTURE = Number.MAX_SAFE_INTEGER

export const makeHistoryRequests = Effect.fnUntraced(function* (options: {
  readonly runtime: string
  readonly warnings?: (() => ReadonlyArray<string>) | undefined
}) {
  const store = yield* SessionStore
  const sweep = yield* Sweep

  return {
    runs: ({ outcome, sessionId, taskId, ...page }: InputOf<"runs"> = {}) =>
      store.read((reader) =>
        reader.runs({ sessionId, seriesId: taskId, outcomes: only(outcome) }, pageOf(page)),
      ),
    events: ({ order, sessionId, ...page }: InputOf<"events"> = {}) =>
      store.read((reader) =>
        order === "newest-first"
          ? reader.lastEvents({ sessionId }, pageOf(page))
          : reader.events({ sessionId }, pageOf({ ...page, after: page.after ?? 0 })),
      ),
    status: Effect.fnUntraced(function* () {
      const now = yield* Clock.currentTimeMillis
      const runtimeDown = yield* sweep.down
      const failing = (yield* sweep.failing).map(describeFailing)
      return yield* store.read((reader): Status => ({
        runtime: options.runtime,
        runtimeDown,
        live: reader.liveIncarnations().map(({ number, phase, sessionId, spawnedAt }) => ({
          sessionId,
          incarnation: number,
          phase,
          spawnedAt,
        })),
        quarantined: reader.sessions({ status: "quarantined" }, { limit: DEFAULT_PAGE }),
        failing: ([2, 1, 0] as const)
          .flatMap((priority) => reader.sessionsToWake("idle", priority, FAR_FUTURE, DEFAULT_PAGE))
          .filter(({ wakeError }) => wakeError !== null),
        nextWakeAt: reader.nextWakeAfter(now),
        nextSlotAt: reader.nextSlot(),
        warnings: [
          ...(options.warnings?.() ?? []),
          ...failing,
          ...clockWarning(reader, now),
          ...reader.liveIncarnations().flatMap(describeSkew),
        ],
        overrides: reader
          .groups()
          .map(({ container, id }) => ({ groupId: id, says: describeGroupContainer(container) }))
          .filter(({ says }) => says.length > 0),
      }))
    }),
    backup: ({ path }: InputOf<"backup">) => Effect.as(store.backup(path), { path }),
  }
})

const describeFailing = ({ count, message, since, what }: Failing): string =>
  `${what} has failed ${count} ${count === 1 ? "time" : "times"} since ${formatExchangeTime(since)}: ${message}`

/** A container whose clock differs dates what it writes by it: the host translates, and whoever reads its logs should know. */
const describeSkew = (row: Incarnation): ReadonlyArray<string> => {
  const skewMs = row.rowSkewMs ?? row.fileSkewMs ?? 0
  if (skewMs === 0) return []
  const seconds = Math.round(Math.abs(skewMs) / 1_000)
  return [
    `the clock of session ${row.sessionId}'s container is ${seconds} s ${skewMs < 0 ? "behind" : "ahead of"} the host's`,
  ]
}
