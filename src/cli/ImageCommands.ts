/** `image`: the images that containers run. Builds and listings ask the engine from here, so that they work without a daemon too. */
import { Effect, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { GroupId, InstallId } from "../domain/Ids.ts"
import { hasPackages, type ImagePackages, noPackages, normalPackages } from "../domain/ImagePlan.ts"
import { loadSettings } from "../layers/Configuration.ts"
import { DockerEngine } from "../layers/docker/DockerEngine.ts"
import { makeImageBuilder } from "../layers/docker/ImageBuilder.ts"
import { imageOf, listImages } from "../layers/docker/ImageCollection.ts"
import { reading } from "./Asking.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { builderOptions, engineOptions } from "./DockerOptions.ts"
import { given } from "./Flags.ts"
import { instant, show, table } from "./Output.ts"
import { asRefusal, dataDirectory, dataOption, family, jsonFlag, refusal, showing } from "./Root.ts"

const group = Argument.String("group").pipe(Argument.withSchema(GroupId))

const decodeInstall = Schema.decodeUnknownEffect(InstallId)

/** The settings, the groups, and what the engine knows this data directory by: it has that from its first use. */
const context = Effect.gen(function* () {
  const settings = yield* loadSettings({ env: process.env, dataDir: yield* dataOption })
  const file = path.join(yield* dataDirectory, "install-id")
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim() : ""
  const install = yield* Effect.mapError(decodeInstall(text), () =>
    refusal(`${file} is not there; make the data directory with 'lamplighter init' first`),
  )
  const { image } = settings.docker
  const groups = (yield* (yield* connectReading).groups()).map(({ container, id, imageTag }) => {
    const from = imageTag ?? image
    return { id, from, wish: imageOf({ install, group: id, from, packages: container.packages }) }
  })
  /** Asks the engine, and says what it answered. */
  const ask = <A, R>(asked: Effect.Effect<A, { readonly message: string }, R>) =>
    Effect.provide(Effect.mapError(asked, asRefusal), DockerEngine.layer(engineOptions(settings)))
  return { settings, image, install, groups, ask }
})

const build = Command.make(
  "build",
  {
    group: group.pipe(
      Argument.withDescription("Only this group's image; without it the agent image and every group's own"),
      Argument.optional,
    ),
    json: jsonFlag,
  },
  Effect.fnUntraced(function* (input) {
    const { ask, groups, image, install, settings } = yield* context
    const { group: only, json } = given(input)
    const wanted = only === undefined ? groups : groups.filter(({ id }) => id === only)
    if (only !== undefined && wanted.length === 0)
      return yield* refusal(`there is no group '${only}'; 'lamplighter group list' shows them`)
    const agent = { id: null, wish: { tag: image, layered: null } }
    const layered = wanted.filter(({ wish }) => wish.layered !== null)
    const wishes = only === undefined ? [agent, ...layered] : layered
    const buildAll = Effect.gen(function* () {
      const builder = yield* makeImageBuilder({
        ...builderOptions(settings),
        install,
        tell: (line) => Effect.sync(() => process.stderr.write(`${line}\n`)),
      })
      for (const { id, wish } of wishes) yield* builder.build(wish, id)
    })
    yield* ask(Effect.scoped(buildAll))
    const built = wishes.map(({ wish }) => wish.tag)
    yield* show(json, { built }, () =>
      built.length === 0
        ? [`group ${only ?? ""} has no packages: it uses ${wanted[0]?.from ?? image} as it is`]
        : built.map((tag) => `${tag} is built`),
    )
  }),
).pipe(Command.withDescription("Build the agent image, and those of groups with packages"))

const kindOf = (tag: string, agent: string): string => {
  if (tag === agent) return "agent"
  return tag.startsWith("lamplighter-group:") ? "group" : "foreign"
}

const list = showing(
  "list",
  "List the images that Lamplighter made, and those that groups name",
  {},
  Effect.fnUntraced(function* () {
    const { ask, groups, image, install } = yield* context
    const found = yield* ask(listImages(install))
    const usersOf = (tag: string) => groups.filter(({ wish }) => wish.tag === tag).map(({ id }) => id)
    const there = found.flatMap(({ tags }) => tags)
    const others = new Set(groups.map(({ wish }) => wish.tag).filter((tag) => !there.includes(tag)))
    const unknown = { id: null, group: null, createdAt: null, bytes: null }
    return [
      ...found.map((row) => ({ ...row, usedBy: row.tags.flatMap(usersOf), state: "there" })),
      ...Array.from(others, (tag) => ({
        ...unknown,
        tags: [tag],
        kind: kindOf(tag, image),
        usedBy: usersOf(tag),
        state: "not known to be there",
      })),
    ]
  }),
  (rows) =>
    table(rows, {
      image: (row) => row.tags.join(" ") || (row.id ?? "").slice(0, 19),
      kind: (row) => row.kind,
      made: (row) => instant(row.createdAt),
      MiB: (row) => (row.bytes === null ? "-" : String(Math.round(row.bytes / 1024 ** 2))),
      groups: (row) => row.usedBy.join(",") || "-",
      state: (row) => row.state,
    }),
)

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

const settle = (verb: "approve" | "deny", says: string) =>
  Command.make(
    verb,
    { group, json: jsonFlag },
    Effect.fnUntraced(function* ({ group: id, json }) {
      const api = yield* connectDaemon
      const { container, revision } = yield* api.group({ id })
      const { packages, requested } = container
      if (!hasPackages(requested)) return yield* refusal(`no agent of the group '${id}' waits for a package`)
      const all = { apt: [...packages.apt, ...requested.apt], npm: [...packages.npm, ...requested.npm] }
      const approved = verb === "deny" ? packages : normalPackages(all)
      const settled = { ...container, packages: approved, requested: noPackages }
      const changed = yield* api.updateGroup({ id, revision, container: settled })
      yield* show(json, changed, () => [
        `${packagesText(requested)}: ${verb === "deny" ? "denied" : "in the image of the group's next container"}`,
      ])
    }),
  ).pipe(Command.withDescription(says))

export const imageCommand = family("image", [
  build,
  list,
  requests,
  settle("approve", "Have the packages that a group's agents asked for in its image"),
  settle("deny", "Drop the packages that a group's agents asked for"),
])
