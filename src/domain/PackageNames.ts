/**
 * Packages that a group's image adds. Names end up in a build file, so each is matched against what its registry allows and against
 * nothing else: no option, no URL, no path, no shell character can pass. A bad one is refused before any build.
 */
import { Schema } from "effect"

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
