/** What `doctor` asks a Docker engine: is it there, is it safe, and does it have the images that containers need. */
import { Effect } from "effect"
import type { Check } from "../../domain/Check.ts"
import type { OwnImages } from "../../domain/ImagePlan.ts"
import { escapeWarning } from "../../domain/RuntimeEscapes.ts"
import { DockerEngine, type EngineOptions, hasImage } from "./DockerEngine.ts"
import { type EngineFacts, engineFacts } from "./EngineFacts.ts"

export interface EngineWishes extends OwnImages {
  /** Whether known escapes are a failure. */
  readonly strict: "warn" | "refuse"
}

export const checkEngine = (
  options: EngineOptions,
  wishes: EngineWishes,
): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function* () {
    const facts = yield* engineFacts
    const engine: Check = {
      name: "engine",
      level: "ok",
      message: `${facts.version} on ${facts.system}, API ${facts.apiVersion}, ${facts.rootless}`,
      remedy: null,
    }
    return [engine, runtimeCheck(facts, wishes.strict), yield* imageCheck(wishes)]
  }).pipe(
    Effect.catch(({ message }) => {
      const remedy =
        "start the engine, let this user use its socket (often: membership in the group docker), or name the socket in docker.socket or DOCKER_HOST"
      return Effect.succeed([{ name: "engine", level: "failure" as const, message, remedy }])
    }),
    Effect.provide(DockerEngine.layer(options)),
  )

const runtimeCheck = ({ runc }: EngineFacts, strict: EngineWishes["strict"]): Check => {
  const name = "runc"
  if (runc === null)
    return {
      name,
      level: "warning",
      message: "the engine does not say that it uses runc: its escapes are not known here",
      remedy: "look up the version of the runtime that it uses",
    }
  const warning = escapeWarning(runc)
  return warning === null
    ? { name, level: "ok", message: `${runc}, without escapes known here`, remedy: null }
    : {
        name,
        level: strict === "refuse" ? "failure" : "warning",
        message: warning,
        remedy:
          strict === "refuse"
            ? 'update runc; docker.strictRuntime is "refuse", so the daemon does not start on this one'
            : "update runc, or set docker.strictRuntime to refuse engines like this one",
      }
}

const imageCheck = (wishes: EngineWishes) => {
  const check = (level: Check["level"], message: string, remedy: string | null): Check => ({
    name: "image",
    level,
    message,
    remedy,
  })
  return Effect.gen(function* () {
    if (yield* hasImage(wishes.agent)) return check("ok", `${wishes.agent} is there`, null)
    if (wishes.build === "never")
      return check(
        "failure",
        `${wishes.agent} is not there, and docker.build is "never"`,
        "lamplighter image build, or pull it",
      )
    const base = (yield* hasImage(wishes.base))
      ? `${wishes.base} is there`
      : `the engine has to pull ${wishes.base} for that`
    return check(
      "warning",
      `${wishes.agent} is not there: the first wake builds it; ${base}`,
      "lamplighter image build does it now",
    )
  }).pipe(
    Effect.catch(({ message }) => Effect.succeed(check("failure", message, "look at the engine's own log"))),
  )
}
