/** What `doctor` asks a Docker engine: is it there, is it safe, and does it have the images that containers need. */
import type { Check } from "../../domain/Check.ts"
import type { OwnImages } from "../../domain/ImagePlan.ts"
import { escapeWarning } from "../../domain/RuntimeEscapes.ts"
import { type DockerEngine, type EngineOptions, makeDockerEngine, hasImage } from "./DockerEngine.ts"
import { type EngineFacts, engineFacts } from "./EngineFacts.ts"

export interface EngineWishes extends OwnImages {
  /** Whether known escapes are a failure. */
  readonly strict: "warn" | "refuse"
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const checkEngine = async (
  options: EngineOptions,
  wishes: EngineWishes,
): Promise<ReadonlyArray<Check>> => {
  const engine = makeDockerEngine(options)
  let facts: EngineFacts
  try {
    facts = await engineFacts(engine)
  } catch (error) {
    return [
      {
        name: "engine",
        level: "failure",
        message: messageOf(error),
        remedy:
          "start the engine, let this user use its socket (often: membership in the group docker), or name the socket in docker.socket or DOCKER_HOST",
      },
    ]
  }
  return [
    {
      name: "engine",
      level: "ok",
      message: `${facts.version} on ${facts.system}, API ${facts.apiVersion}, ${facts.rootless}`,
      remedy: null,
    },
    runtimeCheck(facts, wishes.strict),
    await imageCheck(engine, wishes),
  ]
}

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

const imageCheck = async (engine: DockerEngine, wishes: EngineWishes): Promise<Check> => {
  const name = "image"
  try {
    if (await hasImage(engine, wishes.agent))
      return { name, level: "ok", message: `${wishes.agent} is there`, remedy: null }
    if (wishes.build === "never")
      return {
        name,
        level: "failure",
        message: `${wishes.agent} is not there, and docker.build is "never"`,
        remedy: "lamplighter image build, or pull it",
      }
    const base = (await hasImage(engine, wishes.base))
      ? `${wishes.base} is there`
      : `the engine has to pull ${wishes.base} for that`
    return {
      name,
      level: "warning",
      message: `${wishes.agent} is not there: the first wake builds it; ${base}`,
      remedy: "lamplighter image build does it now",
    }
  } catch (error) {
    return { name, level: "failure", message: messageOf(error), remedy: "look at the engine's own log" }
  }
}
