/**
 * What to do about an image that the engine lacks: build it, or refuse with the remedy. Only images that Lamplighter makes are ever
 * built; nothing is pulled behind the operator's back.
 */
import { Schema } from "effect"
import { doubled } from "./Instant.ts"

export interface OwnImages {
  /** The tag of the agent image that container/Dockerfile makes. */
  readonly agent: string
  /** What that Dockerfile starts from. */
  readonly base: string
  readonly build: "missing" | "never"
}

/** An image that a container needs. `packages`: laid over `from` for one group; null: it is used as it is. */
export interface ImageWish {
  readonly tag: string
  readonly layered: { readonly from: string; readonly packages: ImagePackages } | null
}

export type ImagePlan =
  | { readonly _tag: "BuildAgent"; readonly tag: string; readonly from: string }
  | {
      readonly _tag: "BuildGroup"
      readonly tag: string
      readonly from: string
      readonly dockerfile: string
    }
  | { readonly _tag: "Refuse"; readonly message: string }

export const planImage = (missing: ImageWish, own: OwnImages): ImagePlan => {
  const { layered, tag } = missing
  if (layered === null && tag !== own.agent)
    return {
      _tag: "Refuse",
      message: `the engine has no image ${tag}, and it is not one that Lamplighter builds: pull or build it, or give the group another`,
    }
  if (own.build === "never")
    return {
      _tag: "Refuse",
      message: `the engine has no image ${tag}, and docker.build is "never": run lamplighter image build, or set docker.build to "missing"`,
    }
  return layered === null
    ? { _tag: "BuildAgent", tag, from: own.base }
    : { _tag: "BuildGroup", tag, from: layered.from, dockerfile: groupDockerfile(layered.packages) }
}

/**
 * The build file of a group's image. Names have passed their patterns; each is an argument of its own besides, after the end of all
 * options. What changes least comes first.
 */
export const groupDockerfile = (packages: ImagePackages): string => {
  const { apt, npm } = normalPackages(packages)
  const quoted = (names: ReadonlyArray<string>): string => names.map((name) => `'${name}'`).join(" ")
  return [
    "ARG BASE_IMAGE",
    "FROM ${BASE_IMAGE}",
    ...(hasPackages(packages) ? ["USER 0:0"] : []),
    ...(apt.length === 0
      ? []
      : [
          `RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -- ${quoted(apt)} && rm -rf /var/lib/apt/lists/*`,
        ]),
    ...(npm.length === 0 ? [] : [`RUN npm install --global --no-fund --no-audit -- ${quoted(npm)}`]),
    "USER 1000:1000",
    "",
  ].join("\n")
}

const FIRST_BACKOFF_MS = 10_000
const LONGEST_BACKOFF_MS = 300_000

/** How long after its n-th failure in a row (1, 2, …) an image is not built again. */
export const buildBackoffMs = (failures: number): number =>
  failures <= 0 ? 0 : Math.min(doubled(FIRST_BACKOFF_MS, failures - 1), LONGEST_BACKOFF_MS)

const IMAGE_NAME = /^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$/

/** Of an image's name, with or without registry, tag and digest; a name that an engine would take for an option is none. */
export const isImageName = (text: string): boolean => IMAGE_NAME.test(text)

export const expectedImageName = "an image's name, such as registry.example.org/agents:24"

/*
 * Packages that a group's image adds. Names end up in a build file, so each is matched against what its registry allows and against
 * nothing else: no option, no URL, no path, no shell character can pass. A bad one is refused before any build.
 */

/** Debian: lower case, digits, `+`, `-`, `.`; optionally `=version`. */
const APT = /^[a-z0-9][a-z0-9+.-]{1,99}(?:=[A-Za-z0-9][A-Za-z0-9.+:~-]{0,99})?$/
/** npm: optionally scoped; optionally `@version` or a tag, never a range, a URL or a folder. */
const NPM =
  /^(?:@[a-z0-9][a-z0-9._-]{0,99}\/)?[a-z0-9][a-z0-9._-]{0,99}(?:@[A-Za-z0-9][A-Za-z0-9.+-]{0,99})?$/

const MAX_PACKAGES = 200

/** `curl`, `python3=3.11.2-1`. */
export const AptPackage = Schema.String.check(
  Schema.isPattern(APT, {
    message: "expected a Debian package such as curl or python3=3.11.2-1: lower case, no options, no URL",
  }),
)
/** `typescript`, `@scope/name@1.2.3`. */
export const NpmPackage = Schema.String.check(
  Schema.isPattern(NPM, {
    message: "expected an npm package such as typescript or @scope/name@1.2.3: no range, no URL, no folder",
  }),
)

export const ImagePackages = Schema.Struct({
  apt: Schema.Array(AptPackage).check(Schema.isMaxLength(MAX_PACKAGES)),
  npm: Schema.Array(NpmPackage).check(Schema.isMaxLength(MAX_PACKAGES)),
})
export type ImagePackages = typeof ImagePackages.Type

export const noPackages: ImagePackages = { apt: [], npm: [] }

/** Sorted, without repeats: the same wish gives the same image. */
export const normalPackages = (packages: ImagePackages): ImagePackages => ({
  apt: [...new Set(packages.apt)].sort(),
  npm: [...new Set(packages.npm)].sort(),
})

export const hasPackages = (packages: ImagePackages): boolean =>
  packages.apt.length > 0 || packages.npm.length > 0
