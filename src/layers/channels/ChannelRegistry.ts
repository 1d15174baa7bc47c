/** The configured channels as one service: a channel's name in the configuration is the `channelType` of its deliveries. */
import { Effect, Layer, type Redacted } from "effect"
import type { HttpClient } from "effect/http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { type Channel, type ChannelError, Channels } from "../../services/Channels.ts"
import * as FileChannel from "./FileChannel.ts"
import * as StdoutChannel from "./StdoutChannel.ts"
import * as WebhookChannel from "./WebhookChannel.ts"

export type ChannelSettings =
  | { readonly type: "stdout" }
  | { readonly type: "file"; readonly path: string; readonly maxBytes: number }
  | {
      readonly type: "webhook"
      readonly url: string
      readonly secret: Redacted.Redacted
      readonly timeoutMs: number
    }

/** By name. `stdout` is there whatever they say. */
export type ChannelsSettings = Readonly<Record<string, ChannelSettings>>

/** Connections that one webhook origin may use at once, and how long a connection may take to open. */
const MAX_CONNECTIONS = 16
const CONNECT_TIMEOUT_MS = 10_000

const makeChannel = (name: string, settings: ChannelSettings) => {
  switch (settings.type) {
    case "stdout":
      return StdoutChannel.make({ name, stream: process.stdout })
    case "file":
      return Effect.succeed(FileChannel.make({ name, ...settings }))
    case "webhook":
      return WebhookChannel.make({ name, ...settings })
  }
}

/** Needs the HTTP client that webhooks go through. Fails when a webhook's URL or secret can't be used. */
const layerNoDeps = (
  settings: ChannelsSettings,
): Layer.Layer<Channels, ChannelError, HttpClient.HttpClient> =>
  Layer.effect(
    Channels,
    Effect.gen(function* () {
      const channels = new Map<string, Channel>()
      for (const [name, one] of Object.entries<ChannelSettings>({
        stdout: { type: "stdout" },
        ...settings,
      })) {
        channels.set(name, yield* makeChannel(name, one))
      }
      return Channels.of({ get: (type) => channels.get(type), types: [...channels.keys()].sort() })
    }),
  )

export const layer = (settings: ChannelsSettings): Layer.Layer<Channels, ChannelError> =>
  layerNoDeps(settings).pipe(
    Layer.provide(
      NodeHttpClient.layerUndiciOptions({
        connections: MAX_CONNECTIONS,
        connect: { timeout: CONNECT_TIMEOUT_MS },
      }),
    ),
  )
