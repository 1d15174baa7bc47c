/** What the daemon asks the engine about itself when it starts: known ways out of its containers are told, or refused. */
import { Effect } from "effect"
import type { Settings } from "../layers/Configuration.ts"
import { DockerEngine } from "../layers/docker/DockerEngine.ts"
import { engineFacts } from "../layers/docker/EngineFacts.ts"
import { escapeWarning } from "../domain/RuntimeEscapes.ts"
import { engineOptions } from "./DockerOptions.ts"
import { asRefusal, type CommandError, refusal } from "./Root.ts"

/** What is wrong with the engine, or null; fails when it does not answer. */
const examine = (settings: Settings): Effect.Effect<string | null, CommandError> =>
  engineFacts.pipe(
    Effect.map(({ runc }) => (runc === null ? null : escapeWarning(runc))),
    Effect.mapError(asRefusal),
    Effect.provide(DockerEngine.layer(engineOptions(settings))),
  )

/**
 * Adds to `warnings`, which `status` shows. With `strictRuntime: "refuse"` it fails instead, also when the engine does not answer,
 * because then nobody knows; otherwise it keeps nobody waiting.
 */
export const examineEngine = Effect.fnUntraced(function* (settings: Settings, warnings: Array<string>) {
  if (settings.docker.strictRuntime === "refuse") {
    const problem = yield* examine(settings)
    if (problem === null) return
    return yield* refusal(`${problem}; docker.strictRuntime is "refuse", so nothing is started on it`)
  }
  yield* examine(settings).pipe(
    Effect.flatMap((problem) => {
      if (problem === null) return Effect.void
      warnings.push(problem)
      return Effect.logWarning(problem)
    }),
    Effect.catch(({ message }) => Effect.logWarning(`the engine does not answer yet: ${message}`)),
    Effect.forkScoped,
  )
})
