import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as ChannelRegistry from "../../../src/layers/channels/ChannelRegistry.ts"
import { Channels } from "../../../src/services/Channels.ts"

const secret = Redacted.make("a plain text secret")

describe("ChannelRegistry", () => {
  it.effect("has stdout without being told", () =>
    Effect.gen(function* () {
      const channels = yield* Channels
      assert.deepStrictEqual(channels.types, ["stdout"])
      assert.strictEqual(channels.get("stdout")?.type, "stdout")
      assert.isUndefined(channels.get("agent"))
      assert.isUndefined(channels.get("toString"))
    }).pipe(Effect.provide(ChannelRegistry.layer({}))),
  )

  it.effect("gives each configured channel under its name", () =>
    Effect.gen(function* () {
      const channels = yield* Channels
      assert.deepStrictEqual(channels.types, ["alerts", "journal", "stdout"])
      for (const type of channels.types) assert.strictEqual(channels.get(type)?.type, type)
    }).pipe(
      Effect.provide(
        ChannelRegistry.layer({
          alerts: { type: "webhook", url: "https://example.org/in", secret, timeoutMs: 1_000 },
          journal: { type: "file", path: "/nowhere/out.jsonl", maxBytes: 1_000 },
        }),
      ),
    ),
  )

  it.effect("does not start with a webhook that could never be used", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.provide(
          Channels.use((channels) => Effect.succeed(channels.types)),
          ChannelRegistry.layer({
            alerts: { type: "webhook", url: "gopher://example.org", secret, timeoutMs: 1_000 },
          }),
        ),
      )
      assert.include(error.message, "channel alerts")
    }),
  )
})
