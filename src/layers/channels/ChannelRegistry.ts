/** The configured channels as one service: a channel's name in the configuration is the `channelType` of its deliveries. */
import { Effect, Layer } from "effect"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { type Channel, type ChannelError, Channels } from "../../services/Channels.ts"
import * as FileChannel from "./FileChannel.ts"
import * as StdoutChannel from "./StdoutChannel.ts"
import * as WebhookChannel from "./WebhookChannel.ts"

export type ChannelSettings =
  | { readonly type: "stdout" }
  | ({ readonly type: "file" } & Omit<FileChannel.FileChannelOptions, "name">)
  | ({ readonly type: "webhook" } & Omit<WebhookChannel.WebhookChannelOptions, "name">)

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

/** Fails when a webhook's URL or secret can't be used. */
export const layer = (settings: ChannelsSettings): Layer.Layer<Channels, ChannelError> =>
  Layer.effect(
    Channels,
    Effect.gen(function* () {
      const all: ChannelsSettings = { stdout: { type: "stdout" }, ...settings }
      const channels = new Map<string, Channel>()
      for (const [name, one] of Object.entries(all)) channels.set(name, yield* makeChannel(name, one))
      return Channels.of({ get: (type) => channels.get(type), types: [...channels.keys()].sort() })
    }),
  ).pipe(
    Layer.provide(
      NodeHttpClient.layerUndiciOptions({
        connections: MAX_CONNECTIONS,
        connect: { timeout: CONNECT_TIMEOUT_MS },
      }),
    ),
  )
