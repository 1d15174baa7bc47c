/** Channels: where deliveries go. A channel sends one delivery and says what became of it; order, retries and state are `Delivery`'s. */
import { Context, type Effect, Schema } from "effect"
import type { Delivery } from "../domain/Delivery.ts"

/**
 * `Transient`: worth another try (a timeout, a 503; `retryAfterMs` if the other side named one). `Permanent`: it will never be
 * taken (a 400, an unknown address).
 */
export class ChannelError extends Schema.TaggedError<ChannelError>()("ChannelError", {
  kind: Schema.Literals(["Transient", "Permanent"]),
  message: Schema.String,
  retryAfterMs: Schema.NullOr(Schema.Int),
}) {
  static transient(message: string, retryAfterMs: number | null = null): ChannelError {
    return new ChannelError({ kind: "Transient", message, retryAfterMs })
  }

  static permanent(message: string): ChannelError {
    return new ChannelError({ kind: "Permanent", message, retryAfterMs: null })
  }
}

export interface Channel {
  readonly type: string
  /** How long one send may take, when the channel was told; it is given a minute at least. */
  readonly limitMs?: number
  /**
   * Sends once, within its own time limit. `delivery.id` is the idempotency key: a repeat after a crash or an ambiguous reply
   * carries the same one. Answers with the other side's id of the message, if it gave one.
   */
  readonly send: (
    delivery: Delivery,
  ) => Effect.Effect<{ readonly platformMessageId: string | null }, ChannelError>
}

/** The configured channels, by type. `agent` is not among them: it never leaves the ledger. */
export class Channels extends Context.Service<
  Channels,
  {
    readonly get: (type: string) => Channel | undefined
    readonly types: ReadonlyArray<string>
  }
>()("lamplighter/services/Channels") {}
