/** `image`: the images that containers run. Builds and listings ask the engine from here, so that they work without a daemon too. */
import { Effect, Option, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Group } from "../domain/Group.ts"
import { GroupId, InstallId } from "../domain/Ids.ts"
import {
  hasPackages,
  type ImagePackages,
  type ImageWish,
  noPackages,
  normalPackages,
} from "../domain/ImagePlan.ts"
import { loadSettings, type Settings } from "../layers/Configuration.ts"
import { DockerEngine } from "../layers/docker/DockerEngine.ts"
import { makeImageBuilder } from "../layers/docker/ImageBuilder.ts"
import { imageOf, listImages } from "../layers/docker/ImageCollection.ts"
import { reading } from "./Asking.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { builderOptions, engineOptions } from "./DockerOptions.ts"
import { instant, show, table } from "./Output.ts"
import { CommandError, dataDirectory, dataOption, family, jsonFlag } from "./Root.ts"

const group = Argument.String("group").pipe(Argument.withSchema(GroupId))

const decodeInstall = Schema.decodeUnknownOption(InstallId)

/** Of the data directory, which has one from its first use. */
const installId = Effect.gen(function* () {
  const file = path.join(yield* dataDirectory, "install-id")
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim() : ""
  const id = decodeInstall(text)
  return Option.isSome(id)
    ? id.value
    : yield* new CommandError({
        message: `${file} is not there; make the data directory with 'lamplighter init' first`,
      })
})

/** Asks the engine, and says what it answered. */
const fromEngine = <A, R>(
  settings: Settings,
  ask: Effect.Effect<A, { readonly message: string }, R>,
): Effect.Effect<A, CommandError, Exclude<R, DockerEngine>> =>
  ask.pipe(
    Effect.mapError(({ message }) => new CommandError({ message })),
    Effect.provide(DockerEngine.layer(engineOptions(settings))),
  )

const context = Effect.gen(function* () {
  const settings = yield* loadSettings({ env: process.env, dataDir: yield* dataOption })
  return { settings, install: yield* installId }
})

const imageOfGroup = (install: InstallId, from: string, { container, id, imageTag }: Group): ImageWish =>
  imageOf({ install, group: id, from: imageTag ?? from, packages: container.packages })

const build = Command.make(
  "build",
  {
    group: group.pipe(
      Argument.withDescription("Only this group's image; without it the agent image and every group's own"),
      Argument.optional,
    ),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const { install, settings } = yield* context
      const groups = yield* (yield* connectReading).groups()
      const only = Option.getOrUndefined(input.group)
      const wanted = only === undefined ? groups : groups.filter(({ id }) => id === only)
      if (only !== undefined && wanted.length === 0)
        return yield* new CommandError({
          message: `there is no group '${only}'; 'lamplighter group list' shows them`,
        })
      const { image } = settings.docker
      const agentImage = { id: null, wish: { tag: image, layered: null } }
      const ofGroups = wanted
        .map((one) => ({ id: one.id, wish: imageOfGroup(install, image, one) }))
        .filter(({ wish }) => wish.layered !== null)
      const wishes = only === undefined ? [agentImage, ...ofGroups] : ofGroups
      const built: Array<string> = []
      const buildAll = Effect.gen(function* () {
        const builder = yield* makeImageBuilder({
          ...builderOptions(settings),
          install,
          tell: (line) => Effect.sync(() => process.stderr.write(`${line}\n`)),
        })
        for (const { id, wish } of wishes) {
          yield* builder.build(wish, id)
          built.push(wish.tag)
        }
      })
      yield* fromEngine(settings, Effect.scoped(buildAll))
      yield* show(input.json, { built }, () =>
        built.length === 0
          ? [`group ${only ?? ""} has no packages: it uses ${wanted[0]?.imageTag ?? image} as it is`]
          : built.map((tag) => `${tag} is built`),
      )
    }),
).pipe(Command.withDescription("Build the agent image, and those of groups with packages"))

const list = Command.make("list", { json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const { install, settings } = yield* context
    const groups = yield* (yield* connectReading).groups()
    const found = yield* fromEngine(settings, listImages(install))
    const users = new Map<string, Array<string>>()
    for (const one of groups) {
      const { tag } = imageOfGroup(install, settings.docker.image, one)
      users.set(tag, [...(users.get(tag) ?? []), one.id])
    }
    const there = new Set(found.flatMap(({ tags }) => tags))
    const rows = [
      ...found.map((image) => ({
        ...image,
        usedBy: image.tags.flatMap((tag) => users.get(tag) ?? []),
        state: "there" as const,
      })),
      ...[...users]
        .filter(([tag]) => !there.has(tag))
        .map(([tag, usedBy]) => ({
          id: null,
          tags: [tag],
          kind:
            tag === settings.docker.image
              ? "agent"
              : tag.startsWith("lamplighter-group:")
                ? "group"
                : "foreign",
          group: null,
          createdAt: null,
          bytes: null,
          usedBy,
          state: "not known to be there" as const,
        })),
    ]
    yield* show(input.json, rows, () =>
      table(rows, {
        image: (row) => row.tags.join(" ") || (row.id ?? "").slice(0, 19),
        kind: (row) => row.kind,
        made: (row) => instant(row.createdAt),
        MiB: (row) => (row.bytes === null ? "-" : String(Math.round(row.bytes / 1024 ** 2))),
        groups: (row) => row.usedBy.join(",") || "-",
        state: (row) => row.state,
      }),
    )
  }),
).pipe(Command.withDescription("List the images that Lamplighter made, and those that groups name"))

const packagesText = ({ apt, npm }: ImagePackages): string =>
  [...apt.map((name) => `apt ${name}`), ...npm.map((name) => `npm ${name}`)].join(", ")

const requests = reading(
  (api) => () =>
    Effect.map(api.groups(), (groups) =>
      groups
        .filter(({ container }) => hasPackages(container.requested))
        .map(({ container, id }) => ({ group: id, ...container.requested })),
    ),
  "requests",
  "Show the packages that agents asked for",
  {},
  (waiting, _, say) =>
    waiting.length === 0
      ? ["no agent waits for a package"]
      : waiting.map(
          (row) =>
            `${row.group}: ${packagesText(row)}; ${say(`'lamplighter image approve ${row.group}' installs them, 'lamplighter image deny ${row.group}' drops them`)}`,
        ),
)

const settle = (verb: "approve" | "deny", description: string) =>
  Command.make(verb, { group, json: jsonFlag }, (input) =>
    Effect.gen(function* () {
      const api = yield* connectDaemon
      const stored = yield* api.group({ id: input.group })
      const { packages, requested } = stored.container
      if (!hasPackages(requested))
        return yield* new CommandError({
          message: `no agent of the group '${input.group}' waits for a package`,
        })
      const all = {
        apt: [...packages.apt, ...requested.apt],
        npm: [...packages.npm, ...requested.npm],
      }
      const approved = verb === "deny" ? packages : normalPackages(all)
      const changed = yield* api.updateGroup({
        id: input.group,
        revision: stored.revision,
        container: { ...stored.container, packages: approved, requested: noPackages },
      })
      yield* show(input.json, changed, () => [
        `${packagesText(requested)}: ${verb === "deny" ? "denied" : "in the image of the group's next container"}`,
      ])
    }),
  ).pipe(Command.withDescription(description))

export const imageCommand = family("image", [
  build,
  list,
  requests,
  settle("approve", "Have the packages that a group's agents asked for in its image"),
  settle("deny", "Drop the packages that a group's agents asked for"),
])
