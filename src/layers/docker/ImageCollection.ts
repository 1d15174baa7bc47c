/**
 * Images of ours that nothing will use again: what a build has just replaced, for the agent image or for one group of this install. Only
 * a good build makes an older one old, so the last good one stays; the engine itself refuses to remove what a container uses.
 */
import { Effect } from "effect"
import type { GroupId, InstallId } from "../../domain/Ids.ts"
import { DockerEngine } from "./DockerEngine.ts"

/** What marks an image as ours; its value says which kind. */
export const IMAGE_LABEL = "io.lamplighter.image"
export const AGENT_IMAGE = "agent"
const GROUP_IMAGE = "group"
const INSTALL_LABEL = "io.lamplighter.image.install"
const GROUP_LABEL = "io.lamplighter.image.group"

export const groupImageLabels = (install: InstallId, group: GroupId): Readonly<Record<string, string>> => ({
  [IMAGE_LABEL]: GROUP_IMAGE,
  [INSTALL_LABEL]: install,
  [GROUP_LABEL]: group,
})

export interface OurImage {
  readonly id: string
  readonly tags: ReadonlyArray<string>
  readonly kind: string
  readonly group: string | null
  /** Epoch milliseconds. */
  readonly createdAt: number
  readonly bytes: number
}

/** The agent images on the engine, and the group images of this install. */
export const listImages = Effect.fnUntraced(function* (install: InstallId) {
  const engine = yield* DockerEngine
  const found = yield* engine.ask("the images can't be listed", (docker) =>
    docker.listImages({ filters: { label: [IMAGE_LABEL] } }),
  )
  return found
    .filter(({ Labels }) => Labels?.[IMAGE_LABEL] === AGENT_IMAGE || Labels?.[INSTALL_LABEL] === install)
    .map((image): OurImage => ({
      id: image.Id,
      // An engine says <none> for what has no tag.
      tags: (image.RepoTags ?? []).filter((tag) => !tag.startsWith("<none>")),
      kind: image.Labels?.[IMAGE_LABEL] ?? "",
      group: image.Labels?.[GROUP_LABEL] ?? null,
      createdAt: image.Created * 1_000,
      bytes: image.Size,
    }))
})

/** After a good build. One that can't be removed now, because a container uses it, is tried again after the next. */
export const collectImages = Effect.fnUntraced(
  function* (after: { readonly install: InstallId; readonly group: GroupId | null; readonly built: string }) {
    const engine = yield* DockerEngine
    const images = yield* listImages(after.install)
    const old = images.filter(
      (image) =>
        // The agent image that lost its tag to the new one.
        (image.kind === AGENT_IMAGE && image.tags.length === 0) ||
        (image.kind === GROUP_IMAGE && image.group === after.group && !image.tags.includes(after.built)),
    )
    for (const { id } of old)
      yield* Effect.ignore(
        engine.change("an old image can't be removed", (docker) =>
          docker.getImage(id).remove({ force: false }),
        ),
      )
  },
  Effect.catch(() => Effect.void),
)
