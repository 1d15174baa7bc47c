/** Stops every container, waits out the grace, and ends every incarnation: no orphan, no try spent. */
import { Clock, Effect } from "effect"
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

export const shutdown = Effect.gen(function* () {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const signals = yield* Signals
  yield* (yield* Starts).close
  const rows = yield* store.read((reader) => reader.liveIncarnations())
  for (const row of rows) yield* signals.stopLive(pairOf(row), "shutdown", "the daemon stops")
  const began = yield* Clock.currentTimeMillis
  const limitMs = store.options.policy.graceMs + SPARE_MS + rows.length * SPARE_PER_LIFE_MS
  while (true) {
    yield* pass("all")
    const left = yield* store.read((reader) => reader.liveIncarnations())
    const waitsFor = left.filter(({ number, sessionId }) => {
      const member = fleet.of(sessionId)
      return member?.pair.incarnation !== number || !isGivenUp(member)
    })
    const now = yield* Clock.currentTimeMillis
    if (waitsFor.length === 0 || now - began > limitMs) return
    yield* Effect.sleep(LOOK_EVERY_MS)
    yield* listBeside
  }
})
