/** `status`: what runs, what waits and what is wrong. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { connectReading } from "./Connection.ts"
import { instant, show } from "./Output.ts"
import { jsonFlag } from "./Root.ts"

export const statusCommand = Command.make("status", { json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const state = yield* (yield* connectReading).status()
    yield* show(input.json, state, () => [
      `runtime: ${state.runtime}`,
      `containers: ${state.live.length}`,
      `next wake: ${instant(state.nextWakeAt)}`,
      `next slot: ${instant(state.nextSlotAt)}`,
      ...state.live.map(
        (row) =>
          `live: ${row.sessionId} incarnation ${row.incarnation}, ${row.phase} since ${instant(row.spawnedAt)}`,
      ),
      ...state.failing.map((row) => `can't start: ${row.id}: ${row.wakeError ?? ""}`),
      ...state.quarantined.map(
        (row) =>
          `quarantined: ${row.id}: ${row.statusReason ?? ""}; 'lamplighter session release ${row.id}' ends it`,
      ),
    ])
  }),
).pipe(Command.withDescription("Show what runs, what waits and what is wrong"))
