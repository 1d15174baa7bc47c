/** What each way in which an engine refuses a start means to the caller. */
import type { StartError } from "../../services/ContainerRuntime.ts"
import { refusal } from "../runtime/Launching.ts"
import type { EngineError } from "./DockerEngine.ts"

/** What passes by itself once the host has room again; anything else of a group's container needs somebody to change something. */
const RESOURCES =
  /no space left|too many open files|cannot allocate memory|resource temporarily unavailable|disk quota|input\/output error/i

const isImageMissing = (error: EngineError): boolean =>
  error.status === 404 && /no such image/i.test(error.message)

/** Between its create and its start: by another daemon that starts the same session, or by whoever cleans up. */
const isGone = (error: EngineError): boolean =>
  (error.status === 404 && /no such container/i.test(error.message)) ||
  (error.status === 409 && /marked for removal/i.test(error.message))

/** Of a refused or failed create or start. After an `unanswered` one the container may exist. */
export const startErrorOf = (error: EngineError, image: string): StartError => {
  if (error.kind === "unreachable")
    return refusal(
      "RuntimeDown",
      `${error.message}; is the engine running, and may this user use its socket?`,
    )
  if (error.kind === "unanswered") return refusal("Ambiguous", error.message)
  if (isImageMissing(error))
    return refusal(
      "ImageMissing",
      `the engine has no image ${image}: build it, pull it, or give the group another`,
    )
  if (isGone(error))
    return refusal(
      "NameTaken",
      `${error.message}: somebody removed it before it could start; is this data directory used twice?`,
    )
  const isOfResources = error.status === 503 || RESOURCES.test(error.message)
  return refusal(isOfResources ? "RuntimeDown" : "Configuration", error.message)
}
