/** Stops every container, waits out the grace, and ends every incarnation: no orphan, no try spent. */
import { Clock, Effect } from "effect"
import { policyOf } from "../ledger/SessionUnit.ts"
import type { LedgerError } from "../LedgerDriver.ts"
import { SessionStore } from "../SessionStore.ts"
import { Fleet, isGivenUp } from "./Fleet.ts"
import { pass } from "./Pass.ts"
import { listBeside, pairOf } from "./Reconcile.ts"
import { Signals } from "./Signals.ts"
import { Starts } from "./Starts.ts"

/** Between two looks at what still runs. */
const LOOK_EVERY_MS = 50
/** Beyond the grace: for the last readings of all, and of each. */
const SPARE_MS = 5_000
const SPARE_PER_LIFE_MS = 50

/** A ledger in trouble is asked again, like an engine, up to the limit. */
export const shutdown = Effect.gen(function* () {
  const { policy } = (yield* SessionStore).options
  yield* (yield* Starts).close
  const began = yield* Clock.currentTimeMillis
  let limitMs = policy.graceMs + SPARE_MS
  while (true) {
    const left = yield* Effect.catchTag(stopAll, "LedgerError", unlessLost)
    limitMs = Math.max(limitMs, left.limitMs)
    if (left.names.length === 0) return
    if ((yield* Clock.currentTimeMillis) - began > limitMs) {
      const names = left.names.join(", ")
      return yield* Effect.die(new Error(`the containers of these sessions may still run: ${names}`))
    }
    yield* Effect.sleep(LOOK_EVERY_MS)
    yield* listBeside
  }
})

/** Tells all that were not told yet to stop: a start that was decided on before may be recorded only now. Returns whom it waits for. */
const stopAll = Effect.gen(function* () {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const signals = yield* Signals
  const { limitMs, rows } = yield* store.read((reader) => {
    const live = reader.liveIncarnations()
    const graces = live.map(({ groupId }) => policyOf(reader, groupId, store.options.policy).graceMs)
    return { rows: live, limitMs: Math.max(0, ...graces) + SPARE_MS + live.length * SPARE_PER_LIFE_MS }
  })
  const untold = rows.filter(({ phase }) => phase !== "stopping")
  yield* Effect.forEach(untold, (row) => signals.stopLive(pairOf(row), "shutdown", "the daemon stops"), {
    discard: true,
  })
  yield* pass("all")
  const left = yield* store.read((reader) => reader.liveIncarnations())
  const waitsFor = left.filter(({ number, sessionId }) => {
    const member = fleet.of(sessionId)
    return member?.pair.incarnation !== number || !isGivenUp(member)
  })
  return { limitMs, names: waitsFor.map(({ sessionId }): string => sessionId) }
})

/** One that has to be opened again answers no more. */
const unlessLost = (error: LedgerError) =>
  error.reason === "Uncertain" || error.reason === "Closed"
    ? Effect.fail(error)
    : Effect.succeed({ limitMs: 0, names: [`those of a ledger that fails (${error.message})`] })
