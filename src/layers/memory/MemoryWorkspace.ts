/** The workspace without files, for tests and simulations: it keeps the last exit logs for inspection. */
import { Context, Effect, Layer } from "effect"
import { Workspace } from "../../services/Workspace.ts"

const MAX_LOGS = 1_000

export class MemoryLogs extends Context.Service<
  MemoryLogs,
  { readonly all: Effect.Effect<ReadonlyArray<{ readonly path: string; readonly stderr: string }>> }
>()("lamplighter/layers/memory/MemoryLogs") {}

export const layer: Layer.Layer<Workspace | MemoryLogs> = Layer.effectContext(
  Effect.sync(() => {
    const logs: Array<{ readonly path: string; readonly stderr: string }> = []
    const workspace = Workspace.of({
      zeroExitLogs: "discard",
      prepareGroup: (group) =>
        Effect.succeed({
          groupDir: `groups/${group.id}`,
          globalDir: "groups/global",
          containerJson: `groups/${group.id}/container.json`,
        }),
      writeSessionLists: () => Effect.void,
      writeExitLog: (log) =>
        Effect.sync(() => {
          const path = `logs/${log.sessionId}/${log.at}-${log.incarnation}.log`
          logs.push({ path, stderr: log.stderr })
          if (logs.length > MAX_LOGS) logs.shift()
          return path
        }),
    })
    return Context.make(Workspace, workspace).pipe(
      Context.add(MemoryLogs, { all: Effect.sync(() => [...logs]) }),
    )
  }),
)
