/** Stops every container, waits out the grace, and ends every incarnation: no orphan, no try spent. */
import { Clock, Effect } from "effect"
import type { Incarnation } from "../../domain/Incarnation.ts"
import { policyOf } from "../ledger/SessionUnit.ts"
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
  const stop = (row: Incarnation) => signals.stopLive(pairOf(row), "shutdown", "the daemon stops")
  yield* Effect.forEach(rows, stop, { discard: true })
  const { policy } = store.options
  const graces = yield* store.read((reader) =>
    rows.map(({ groupId }) => policyOf(reader, groupId, policy).graceMs),
  )
  const began = yield* Clock.currentTimeMillis
  const limitMs = Math.max(policy.graceMs, ...graces) + SPARE_MS + rows.length * SPARE_PER_LIFE_MS
  while (true) {
    yield* pass("all")
    const left = yield* store.read((reader) => reader.liveIncarnations())
    // A start that was decided on before may be recorded only now.
    const late = left.filter(({ phase }) => phase !== "stopping")
    yield* Effect.forEach(late, stop, { discard: true })
    const waitsFor = left.filter(({ number, sessionId }) => {
      const member = fleet.of(sessionId)
      return member?.pair.incarnation !== number || !isGivenUp(member)
    })
    const now = yield* Clock.currentTimeMillis
    if (waitsFor.length === 0) return
    if (now - began > limitMs) {
      const names = waitsFor.map(({ sessionId }) => sessionId).join(", ")
      return yield* Effect.die(new Error(`the containers of these sessions may still run: ${names}`))
    }
    yield* Effect.sleep(LOOK_EVERY_MS)
    yield* listBeside
  }
})
