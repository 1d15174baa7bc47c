/** A workspace without a disk, for simulations: paths are names, and nothing is kept. */
import { Effect, Layer } from "effect"
import { Workspace } from "../../services/Workspace.ts"

export const layer: Layer.Layer<Workspace> = Layer.sync(Workspace, () =>
  Workspace.of({
    zeroExitLogs: "discard",
    prepareGroup: (group) =>
      Effect.succeed({
        groupDir: `groups/${group.id}`,
        globalDir: "groups/global",
        containerJson: `groups/${group.id}/container.json`,
      }),
    writeSessionLists: () => Effect.void,
    writeExitLog: (log) => Effect.succeed(`logs/${log.sessionId}/${log.at}-${log.incarnation}.log`),
  }),
)
