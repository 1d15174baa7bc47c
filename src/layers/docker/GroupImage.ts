/** The name of a group's own image: it tells what is in it, so that other packages or another base are another image. */
import { createHash } from "node:crypto"
import type { GroupId, InstallId } from "../../domain/Ids.ts"
import { groupDockerfile, type ImageWish } from "../../domain/ImagePlan.ts"
import { hasPackages, type ImagePackages } from "../../domain/PackageNames.ts"

const DIGEST_CHARACTERS = 16

/** What the containers of a group run: `from` as it is, or with packages over it. */
export const imageOf = (input: {
  readonly install: InstallId
  readonly group: GroupId
  readonly from: string
  readonly packages: ImagePackages
}): ImageWish => {
  const { from, group, install, packages } = input
  if (!hasPackages(packages)) return { tag: from, layered: null }
  const digest = createHash("sha256")
    .update(JSON.stringify([install, group, from, groupDockerfile(packages)]))
    .digest("hex")
  return { tag: `lamplighter-group:${digest.slice(0, DIGEST_CHARACTERS)}`, layered: { from, packages } }
}
