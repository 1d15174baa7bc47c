/** `status`: what runs, what waits and what is wrong. */
import { reading } from "./Asking.ts"
import { instant } from "./Output.ts"

export const statusCommand = reading(
  (api) => api.status,
  "status",
  null,
  {},
  (state, _, say) => [
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
  ],
)
