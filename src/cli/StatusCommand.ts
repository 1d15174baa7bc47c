/** `status`: what runs, what waits and what is wrong. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { connectReading } from "./Connection.ts"
import { hints } from "./Invocation.ts"
import { instant, show } from "./Output.ts"
import { jsonFlag } from "./Root.ts"

export const statusCommand = Command.make("status", { json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const say = yield* hints
    const state = yield* (yield* connectReading).status()
    yield* show(input.json, state, () => [
      `runtime: ${state.runtime}`,
      ...(state.runtimeDown === null
        ? []
        : [
            `the runtime is down since ${instant(state.runtimeDown.since)}, everything waits: ${state.runtimeDown.why}; next try ${instant(state.runtimeDown.nextTryAt)}`,
          ]),
      `containers: ${state.live.length}`,
      `next wake: ${instant(state.nextWakeAt)}`,
      `next slot: ${instant(state.nextSlotAt)}`,
      ...state.live.map(
        (row) =>
          `live: ${row.sessionId} incarnation ${row.incarnation}, ${row.phase} since ${instant(row.spawnedAt)}`,
      ),
      ...state.warnings.map((text) => say(`warning: ${text}`)),
      ...state.overrides.flatMap(({ groupId, says }) => says.map((text) => `group ${groupId}: ${text}`)),
      ...state.failing.map((row) => say(`can't start: ${row.id}: ${row.wakeError ?? ""}`)),
      ...state.quarantined.map((row) =>
        say(
          `quarantined: ${row.id}: ${row.statusReason ?? ""}; 'lamplighter session release ${row.id}' ends it`,
        ),
      ),
    ])
  }),
)
