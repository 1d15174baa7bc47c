/** What every channel promises, whatever it stands on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, type Scope } from "effect"
import { NodeHttpClient } from "@effect/platform-node"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Writable } from "node:stream"
import * as FileChannel from "../../src/layers/channels/FileChannel.ts"
import * as StdoutChannel from "../../src/layers/channels/StdoutChannel.ts"
import * as WebhookChannel from "../../src/layers/channels/WebhookChannel.ts"
import * as Memory from "../../src/layers/memory/MemoryChannels.ts"
import { type Channel, Channels } from "../../src/services/Channels.ts"
import { sampleDelivery } from "../support/SampleDelivery.ts"
import { webhookReceiver } from "../support/WebhookReceiver.ts"

interface Subject {
  readonly channel: Channel
  /** Ids of what the other side has, in the order in which it got them. */
  readonly received: Effect.Effect<ReadonlyArray<string>>
}

const file = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "lamplighter-channel-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true })),
  )
  const path = join(directory, "out.jsonl")
  const lines = () => readFileSync(path, "utf8").split("\n").slice(0, -1)
  return {
    channel: FileChannel.make({ name: "subject", path, maxBytes: 1_000_000_000 }),
    received: Effect.sync(() => lines().map((line): string => JSON.parse(line).deliveryId)),
  }
})

const stdout = Effect.gen(function* () {
  let text = ""
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString("utf8")
      setImmediate(done)
    },
  })
  return {
    channel: yield* StdoutChannel.make({ name: "subject", stream }),
    received: Effect.sync(() =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line): string => JSON.parse(line).delivery),
    ),
  }
})

const webhook = Effect.gen(function* () {
  const client = yield* Layer.build(NodeHttpClient.layerUndici)
  const receiver = yield* webhookReceiver
  const channel = yield* WebhookChannel.make({
    name: "subject",
    url: receiver.origin,
    secret: Redacted.make("a plain text secret"),
    timeoutMs: 10_000,
  }).pipe(Effect.provide(client))
  return {
    channel,
    received: Effect.sync(() => receiver.requests.map(({ body }): string => JSON.parse(body).id)),
  }
})

const memory = Effect.gen(function* () {
  const context = yield* Effect.context<Channels | Memory.MemoryChannels>()
  const { get } = yield* Channels
  const channel = get("subject")
  if (channel === undefined) return yield* Effect.die("the memory layer has no such channel")
  return {
    channel,
    received: Memory.MemoryChannels.use(({ taken }) => taken).pipe(
      Effect.map((sends) => sends.map(({ delivery }): string => delivery.id)),
      Effect.provide(context),
    ),
  }
}).pipe(Effect.provide(Memory.layer(["subject"])))

const suite = (name: string, subject: Effect.Effect<Subject, unknown, Scope.Scope>) =>
  describe(`every channel: ${name}`, () => {
    it.live("is called what the configuration calls it", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* subject).channel.type, "subject")
      }).pipe(Effect.scoped),
    )

    it.live("has sent when it says so, in the order of the calls", () =>
      Effect.gen(function* () {
        const { channel, received } = yield* subject
        for (const number of [1, 2, 3]) {
          yield* channel.send(sampleDelivery({ id: `s1/out-${number}` }))
          assert.strictEqual((yield* received).length, number)
        }
        assert.deepStrictEqual(yield* received, ["s1/out-1", "s1/out-2", "s1/out-3"])
      }).pipe(Effect.scoped),
    )

    it.live("repeats under the same id when it is asked again", () =>
      Effect.gen(function* () {
        const { channel, received } = yield* subject
        yield* channel.send(sampleDelivery())
        yield* channel.send(sampleDelivery({ attempts: 1 }))
        assert.deepStrictEqual(yield* received, ["s1/out-1", "s1/out-1"])
      }).pipe(Effect.scoped),
    )

    it.live("sends many at once, each exactly once", () =>
      Effect.gen(function* () {
        const { channel, received } = yield* subject
        const ids = Array.from({ length: 25 }, (_, index) => `s1/out-${index}`)
        yield* Effect.forEach(ids, (id) => channel.send(sampleDelivery({ id })), { concurrency: "unbounded" })
        assert.deepStrictEqual([...(yield* received)].sort(), [...ids].sort())
      }).pipe(Effect.scoped),
    )

    it.live("takes whatever an agent wrote: broken, deep or strange content is no error", () =>
      Effect.gen(function* () {
        const { channel, received } = yield* subject
        const contents = ["not json", "", "null", '"\\ud800"', "[".repeat(100_000) + "]".repeat(100_000)]
        for (const content of contents) yield* channel.send(sampleDelivery({ content }))
        assert.strictEqual((yield* received).length, contents.length)
      }).pipe(Effect.scoped),
    )
  })

suite("stdout", stdout)
suite("file", file)
suite("webhook", webhook)
suite("memory", memory)
