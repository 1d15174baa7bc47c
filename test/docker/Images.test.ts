/** How images are built, collected and given up, on a real engine. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Scope } from "effect"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GroupId, InstallId } from "../../src/domain/Ids.ts"
import { DockerEngine } from "../../src/layers/docker/DockerEngine.ts"
import { type ImageBuilderOptions, makeImageBuilder } from "../../src/layers/docker/ImageBuilder.ts"
import { imageOf, listImages } from "../../src/layers/docker/ImageCollection.ts"
import { StartError } from "../../src/services/ContainerRuntime.ts"
import {
  baseImage,
  dockerCommand,
  dockerMissing,
  makeDockerWorld,
  testEngineOptions,
} from "../support/DockerWorld.ts"
import { patience } from "../support/Patience.ts"

const LIMIT_MS = patience(60_000)
const group = GroupId.make("family")

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")
const idOf = (tag: string): string | undefined => lines(dockerCommand("images", "-q", "--no-trunc", tag))[0]

/** A Dockerfile of the test's own, tags of its own, and a clock that the test moves. */
const workshop = Effect.gen(function* () {
  const mark = randomBytes(6).toString("hex")
  const folder = mkdtempSync(join(tmpdir(), "lamplighter-images-"))
  const agent = `lamplighter-test-${mark}:agent`
  const install = InstallId.make(`t${mark}`)
  const said: Array<string> = []
  const clock = { now: 1_000_000 }
  const real = yield* Clock.Clock
  const moved: Clock.Clock = {
    ...real,
    currentTimeMillis: Effect.sync(() => clock.now),
    sleep: (duration) => real.sleep(duration),
  }
  const services = (yield* Layer.build(DockerEngine.layer(testEngineOptions))).pipe(
    Context.add(Scope.Scope, yield* Effect.scope),
    Context.add(Clock.Clock, moved),
  )
  const run = <A, E>(effect: Effect.Effect<A, E, DockerEngine | Scope.Scope>): Promise<A> =>
    Effect.runPromiseWith(services)(Effect.result(effect)).then((result) => {
      if (result._tag === "Failure") throw result.failure
      return result.success
    })
  const options: ImageBuilderOptions = {
    agent,
    base: baseImage,
    build: "missing",
    install,
    network: "none",
    contextDir: folder,
    timeoutMs: 30_000,
    tell: (line) => Effect.sync(() => said.push(line)),
  }
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      const ours = await run(listImages(install))
      const mine = ours.filter(({ kind, tags }) => kind === "group" || tags.includes(agent))
      for (const { id } of mine) dockerCommand("rmi", "-f", id)
      rmSync(folder, { recursive: true, force: true })
    }),
  )
  return {
    agent,
    install,
    said,
    folder,
    clock,
    dockerfile: (text: string) =>
      writeFileSync(join(folder, "Dockerfile"), `ARG BASE_IMAGE\nFROM \${BASE_IMAGE}\n${text}\n`),
    builder: async (more: Partial<ImageBuilderOptions> = {}) => {
      const { build, heal } = await run(makeImageBuilder({ ...options, ...more }))
      return {
        heal: (...wish: Parameters<typeof heal>) => run(heal(...wish)),
        build: (...wish: Parameters<typeof build>) => run(build(...wish)),
      }
    },
    groupImage: (name: string) =>
      imageOf({ install, group, from: agent, packages: { apt: [name], npm: [] } }),
    builds: () => said.filter((line) => line.includes("building it from")).length,
  }
})

const failureOf = (attempt: Promise<void>): Promise<StartError> =>
  attempt.then(
    () => {
      throw new Error("it was built")
    },
    (error: unknown) => {
      if (error instanceof StartError) return error
      throw error
    },
  )

/** Stands in for the packages' registry: whatever is asked for is there. */
const registry =
  "RUN printf '#!/bin/sh\\nexit 0\\n' >/usr/local/bin/apt-get && chmod 755 /usr/local/bin/apt-get"

const test = (title: string, body: (shop: Effect.Success<typeof workshop>) => Promise<void>): void =>
  it.live(
    title,
    () => Effect.scoped(Effect.flatMap(workshop, (shop) => Effect.promise(() => body(shop)))),
    LIMIT_MS,
  )

describe.skipIf(dockerMissing !== null)("images, on a real engine", () => {
  test("are built once however many ask at the same time, and each is told", async (shop) => {
    shop.dockerfile("RUN true")
    const builder = await shop.builder()
    const wish = { tag: shop.agent, layered: null }
    await Promise.all(Array.from({ length: 10 }, () => builder.heal(wish, group)))
    assert.strictEqual(shop.builds(), 1)
    assert.isDefined(idOf(shop.agent))
  })

  test("that can't be built are tried again after their backoff, and not before", async (shop) => {
    shop.dockerfile("RUN echo the last words && exit 3")
    const builder = await shop.builder()
    const wish = { tag: shop.agent, layered: null }
    const first = await failureOf(builder.heal(wish, group))
    assert.strictEqual(first.reason, "ImageMissing")
    for (const part of [shop.agent, baseImage, "the last words", "non-zero code: 3"])
      assert.include(first.message, part)
    shop.clock.now += 9_999
    assert.include((await failureOf(builder.heal(wish, group))).message, "after 1 failed builds in a row")
    assert.strictEqual(shop.builds(), 1)
    shop.clock.now += 1
    shop.dockerfile("RUN true")
    await builder.heal(wish, group)
    assert.strictEqual(shop.builds(), 2)
  })

  test("say that they took too long, and that the daemon stopped", async (shop) => {
    shop.dockerfile(`RUN sleep 600; : ${shop.agent}`)
    const late = await failureOf(
      (await shop.builder({ timeoutMs: 3_000 })).build({ tag: shop.agent, layered: null }, null),
    )
    assert.include(late.message, "longer than 3000 ms")
    const stopping = new AbortController()
    const stopped = await shop.builder({
      giveUp: stopping.signal,
      tell: (line) => Effect.sync(() => line.includes("RUN sleep") && stopping.abort()),
    })
    const given = await failureOf(stopped.build({ tag: shop.agent, layered: null }, null))
    assert.include(given.message, "the daemon stopped")
    assert.isUndefined(idOf(shop.agent))
  })

  test("whose base can't be built are not built either, and the base is named", async (shop) => {
    shop.dockerfile("RUN exit 7")
    const error = await failureOf((await shop.builder()).heal(shop.groupImage("jq"), group))
    assert.include(error.message, shop.agent)
    assert.include(error.message, "non-zero code: 7")
    const foreign = imageOf({
      install: shop.install,
      group,
      from: "somebody.example.org/agents:1",
      packages: { apt: ["jq"], npm: [] },
    })
    const refused = await failureOf((await shop.builder()).heal(foreign, group))
    assert.include(refused.message, "somebody.example.org/agents:1")
    assert.include(refused.message, "pull or build it")
  })

  test("of a group go when a good one replaces them, but never one in use or the last good one", async (shop) => {
    shop.dockerfile(registry)
    const builder = await shop.builder()
    const [first, second, third] = ["one", "two", "three"].map((name) => shop.groupImage(name))
    if (first === undefined || second === undefined || third === undefined) throw new Error("no wishes")
    await builder.heal(first, group)
    const container = dockerCommand(
      "run",
      "-d",
      "--network=none",
      "--entrypoint",
      "sleep",
      first.tag,
      "600",
    ).trim()
    try {
      await builder.heal(second, group)
      assert.isDefined(idOf(first.tag), "a container uses it")
      const broken = imageOf({
        install: shop.install,
        group,
        from: shop.agent,
        packages: { apt: [], npm: ["no-npm-here"] },
      })
      await failureOf(builder.heal(broken, group))
      assert.isDefined(idOf(second.tag), "the last good one")
      // Another install's image of a group of the same name.
      const other = InstallId.make(`o${randomBytes(6).toString("hex")}`)
      const foreign = imageOf({ install: other, group, from: shop.agent, packages: { apt: ["x"], npm: [] } })
      await (await shop.builder({ install: other })).heal(foreign, group)
      try {
        dockerCommand("rm", "-f", container)
        await builder.heal(third, group)
        assert.deepStrictEqual([idOf(first.tag), idOf(second.tag)], [undefined, undefined])
        assert.isDefined(idOf(third.tag))
        assert.isDefined(idOf(foreign.tag), "another install's")
        assert.isDefined(idOf(shop.agent), "what they are made from")
      } finally {
        dockerCommand("rmi", "-f", foreign.tag)
      }
    } finally {
      dockerCommand("rm", "-f", container)
    }
  })

  test("that a build has replaced go with it", async (shop) => {
    shop.dockerfile("RUN echo one")
    const builder = await shop.builder()
    await builder.build({ tag: shop.agent, layered: null }, null)
    const before = idOf(shop.agent)
    shop.dockerfile(`RUN echo two >/${shop.install}`)
    await builder.build({ tag: shop.agent, layered: null }, null)
    assert.notStrictEqual(idOf(shop.agent), before)
    assert.notInclude(lines(dockerCommand("images", "-q", "--no-trunc", "--filter", "dangling=true")), before)
  })

  it.live(
    "that are removed again between their build and the start are reported, without a second build",
    () =>
      Effect.gen(function* () {
        const world = yield* makeDockerWorld
        const shop = yield* workshop
        shop.dockerfile("RUN true")
        const real = world.engine
        // The look after the build is the last moment before the second create.
        const meddled: DockerEngine["Service"] = {
          ...real,
          ask: (what, call) =>
            Effect.tap(real.ask(what, call), () =>
              Effect.sync(() => {
                if (what === `image ${shop.agent} can't be looked up`) dockerCommand("rmi", "-f", shop.agent)
              }),
            ),
        }
        const runtime = yield* world.openWith({
          image: shop.agent,
          engine: meddled,
          images: {
            base: baseImage,
            build: "missing",
            network: "none",
            contextDir: shop.folder,
            timeoutMs: 30_000,
          },
        })(world.install)
        const error = yield* Effect.flip(runtime.start(world.spec("s1", "obeys")))
        assert.strictEqual(error.reason, "ImageMissing")
        assert.deepStrictEqual(yield* runtime.list, [])
        assert.isUndefined(idOf(shop.agent))
      }),
    LIMIT_MS,
  )
})
