/**
 * Images of ours: how they are named and marked, and which nothing will use again: what a build has just replaced, for the agent image
 * or for one group of this install. Only a good build makes an older one old, so the last good one stays; the engine itself refuses to
 * remove what a container uses.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import type { GroupId, InstallId } from "../../domain/Ids.ts"
import { groupDockerfile, hasPackages, type ImagePackages, type ImageWish } from "../../domain/ImagePlan.ts"
import { ask, change } from "./DockerEngine.ts"

/** What marks an image as ours; its value says which kind. */
const IMAGE_LABEL = "io.lamplighter.image"
const AGENT_IMAGE = "agent"
const GROUP_IMAGE = "group"
const INSTALL_LABEL = "io.lamplighter.image.install"
const GROUP_LABEL = "io.lamplighter.image.group"

/** Of the agent image where it is of no group. */
export const imageLabels = (install: InstallId, group: GroupId | null): Readonly<Record<string, string>> =>
  group === null
    ? { [IMAGE_LABEL]: AGENT_IMAGE }
    : { [IMAGE_LABEL]: GROUP_IMAGE, [INSTALL_LABEL]: install, [GROUP_LABEL]: group }

const DIGEST_CHARACTERS = 16

/**
 * What the containers of a group run: `from` as it is, or with packages over it. The name tells what is in it, so that other packages or
 * another base are another image.
 */
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

/** The agent images on the engine, and the group images of this install. */
export const listImages = (install: InstallId) =>
  Effect.map(
    ask("the images can't be listed", (docker) => docker.listImages({ filters: { label: [IMAGE_LABEL] } })),
    (found) =>
      found
        .filter(({ Labels }) => Labels?.[IMAGE_LABEL] === AGENT_IMAGE || Labels?.[INSTALL_LABEL] === install)
        .map((image) => ({
          id: image.Id,
          // An engine says <none> for what has no tag.
          tags: (image.RepoTags ?? []).filter((tag) => !tag.startsWith("<none>")),
          kind: image.Labels?.[IMAGE_LABEL] ?? "",
          group: image.Labels?.[GROUP_LABEL] ?? null,
          /** Epoch milliseconds. */
          createdAt: image.Created * 1_000,
          bytes: image.Size,
        })),
  )

/** After a good build. One that can't be removed now, because a container uses it, is tried again after the next. */
export const collectImages = Effect.fnUntraced(
  function* (install: InstallId, group: GroupId | null, built: string) {
    for (const { group: theirs, id, kind, tags } of yield* listImages(install)) {
      // The agent image that lost its tag to the new one.
      const isOld =
        (kind === AGENT_IMAGE && tags.length === 0) ||
        (kind === GROUP_IMAGE && theirs === group && !tags.includes(built))
      if (isOld)
        yield* Effect.ignore(
          change("an old image can't be removed", (docker) => docker.getImage(id).remove({ force: false })),
        )
    }
  },
  Effect.catch(() => Effect.void),
)
