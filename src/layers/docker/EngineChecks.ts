/** What `doctor` asks a Docker engine: is it there, is it safe, and does it have the images that containers need. */
import { Effect } from "effect"
import { check, type Check } from "../../domain/Check.ts"
import type { OwnImages } from "../../domain/ImagePlan.ts"
import { escapeWarning } from "../../domain/RuntimeEscapes.ts"
import { DockerEngine, type EngineOptions, hasImage } from "./DockerEngine.ts"
import { engineFacts } from "./EngineFacts.ts"

export interface EngineWishes extends OwnImages {
  /** Whether known escapes are a failure. */
  readonly strict: "warn" | "refuse"
}

export const checkEngine = (
  options: EngineOptions,
  wishes: EngineWishes,
): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function* () {
    const { apiVersion, rootless, runc, system, version } = yield* engineFacts
    return [
      check("engine", "ok", `${version} on ${system}, API ${apiVersion}, ${rootless}`),
      runtimeCheck(runc, wishes.strict),
      yield* imageCheck(wishes),
    ]
  }).pipe(
    Effect.catch(({ message }) => {
      const remedy =
        "start the engine, let this user use its socket (often: membership in the group docker), or name the socket in docker.socket or DOCKER_HOST"
      return Effect.succeed([check("engine", "failure", message, remedy)])
    }),
    Effect.provide(DockerEngine.layer(options)),
  )

const runtimeCheck = (runc: string | null, strict: EngineWishes["strict"]): Check => {
  if (runc === null)
    return check(
      "runc",
      "warning",
      "the engine does not say that it uses runc: its escapes are not known here",
      "look up the version of the runtime that it uses",
    )
  const warning = escapeWarning(runc)
  if (warning === null) return check("runc", "ok", `${runc}, without escapes known here`)
  return strict === "refuse"
    ? check(
        "runc",
        "failure",
        warning,
        'update runc; docker.strictRuntime is "refuse", so the daemon does not start on this one',
      )
    : check(
        "runc",
        "warning",
        warning,
        "update runc, or set docker.strictRuntime to refuse engines like this one",
      )
}

const imageCheck = ({ agent, base, build }: EngineWishes) =>
  Effect.gen(function* () {
    if (yield* hasImage(agent)) return check("image", "ok", `${agent} is there`)
    if (build === "never")
      return check(
        "image",
        "failure",
        `${agent} is not there, and docker.build is "never"`,
        "lamplighter image build, or pull it",
      )
    const source = (yield* hasImage(base)) ? `${base} is there` : `the engine has to pull ${base} for that`
    return check(
      "image",
      "warning",
      `${agent} is not there: the first wake builds it; ${source}`,
      "lamplighter image build does it now",
    )
  }).pipe(
    Effect.catch(({ message }) =>
      Effect.succeed(check("image", "failure", message, "look at the engine's own log")),
    ),
  )
