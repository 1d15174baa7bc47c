/**
 * An agent asks for packages. Nothing is installed: the wish is kept with the group until an operator approves or denies it, in the
 * transaction that ingests it. Bounded, and each name is checked before anybody sees it.
 */
import { Option, Result, Schema } from "effect"
import { AptPackage, hasPackages, ImagePackages, normalPackages, NpmPackage } from "../../domain/ImagePlan.ts"
import type { SessionUnit } from "./SessionUnit.ts"

const decodeAction = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ action: Schema.Literal("install_packages") })),
)
const decodeWish = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({
      apt: Schema.optionalKey(Schema.Array(AptPackage)),
      npm: Schema.optionalKey(Schema.Array(NpmPackage)),
    }),
  ),
)
const isBounded = Schema.is(ImagePackages)

export type PackageRequest = Result.Result<
  { readonly kind: "done"; readonly text: string },
  { readonly message: string }
>

/** `undefined` when the action is another one. */
export const requestPackages = (unit: SessionUnit, content: string): PackageRequest | undefined => {
  if (Option.isNone(decodeAction(content))) return undefined
  const refused = (reason: string): PackageRequest => Result.fail({ message: reason })
  const wish = Option.getOrUndefined(decodeWish(content))
  const { group } = unit
  const asked = { apt: wish?.apt ?? [], npm: wish?.npm ?? [] }
  if (wish === undefined || !hasPackages(asked) || group === undefined)
    return refused(
      `it needs an operator, and names of packages: "apt" and "npm" are lists such as ["jq"] and ["typescript@5"]; no options, no URLs`,
    )
  const { packages, requested } = group.container
  const missing = (names: ReadonlyArray<string>, installed: ReadonlyArray<string>) =>
    names.filter((name) => !installed.includes(name))
  const all = normalPackages({
    apt: [...requested.apt, ...missing(asked.apt, packages.apt)],
    npm: [...requested.npm, ...missing(asked.npm, packages.npm)],
  })
  if (!isBounded(all)) return refused("too many packages wait for an operator already")
  unit.tx.putGroup({ ...group, container: { ...group.container, requested: all } })
  return Result.succeed({
    kind: "done",
    text: `install_packages waits: ${[...asked.apt, ...asked.npm].join(", ")}: an operator has to approve; what is approved is there in the group's next container`,
  })
}
