/**
 * What to do about an image that the engine lacks: build it, or refuse with the remedy. Only images that Lamplighter makes are ever
 * built; nothing is pulled behind the operator's back.
 */

export interface OwnImages {
  /** The tag of the agent image that container/Dockerfile makes. */
  readonly agent: string
  /** What that Dockerfile starts from. */
  readonly base: string
  readonly build: "missing" | "never"
}

export type ImagePlan =
  | { readonly _tag: "Build"; readonly tag: string; readonly from: string }
  | { readonly _tag: "Refuse"; readonly message: string }

export const planImage = (missing: string, own: OwnImages): ImagePlan => {
  if (missing !== own.agent)
    return {
      _tag: "Refuse",
      message: `the engine has no image ${missing}, and it is not one that Lamplighter builds: pull or build it, or give the group another`,
    }
  if (own.build === "never")
    return {
      _tag: "Refuse",
      message: `the engine has no image ${missing}, and docker.build is "never": run lamplighter image build, or set docker.build to "missing"`,
    }
  return { _tag: "Build", tag: own.agent, from: own.base }
}

const FIRST_BACKOFF_MS = 10_000
const LONGEST_BACKOFF_MS = 300_000

/** How long after its n-th failure in a row (1, 2, …) an image is not built again. */
export const buildBackoffMs = (failures: number): number =>
  failures <= 0 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 30), LONGEST_BACKOFF_MS)
