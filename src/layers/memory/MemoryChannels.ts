/**
 * Channels in memory, for tests and simulations: every send is recorded, and outcomes are scripted per channel. Like a real
 * receiver it knows idempotency keys: a repeat is recorded as one, and answered with the id that the first got.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { Delivery } from "../../domain/Delivery.ts"
import { type Channel, ChannelError, Channels } from "../../services/Channels.ts"

/**
 * What becomes of one send. `Ambiguous`: the other side took it, but the sender is told otherwise (a lost reply). `Hang`: taken,
 * and never answered.
 */
export type ScriptedOutcome =
  | { readonly _tag: "Deliver" }
  | { readonly _tag: "Transient"; readonly message?: string; readonly retryAfterMs?: number }
  | { readonly _tag: "Permanent"; readonly message?: string }
  | { readonly _tag: "Ambiguous"; readonly message?: string }
  | { readonly _tag: "Hang" }

export interface RecordedSend {
  /** 1, 2, 3… over all channels. */
  readonly order: number
  readonly at: number
  readonly channel: string
  readonly delivery: Delivery
  readonly outcome: ScriptedOutcome["_tag"]
  /** Whether the other side has it now because of this send. */
  readonly taken: boolean
  /** Whether the other side had it already. */
  readonly repeat: boolean
}

/** Beyond this many recorded sends, further ones are refused as transient. */
const DEFAULT_MAX_RECORDED = 100_000

export class MemoryChannels extends Context.Service<MemoryChannels, ReturnType<typeof make>["memory"]>()(
  "lamplighter/layers/memory/MemoryChannels",
) {}

/** Decides the outcome of a send by its delivery; `undefined` leaves it to the script. */
type Decide = (delivery: Delivery, channel: string) => ScriptedOutcome | undefined

const takes = (outcome: ScriptedOutcome): boolean =>
  outcome._tag === "Deliver" || outcome._tag === "Ambiguous" || outcome._tag === "Hang"

/** What the sender is told. */
const replyOf = (outcome: ScriptedOutcome, platformMessageId: string | null): ReturnType<Channel["send"]> => {
  switch (outcome._tag) {
    case "Deliver":
      return Effect.succeed({ platformMessageId })
    case "Hang":
      return Effect.never
    case "Permanent":
    case "Transient":
    case "Ambiguous":
      return Effect.fail(
        new ChannelError({
          kind: outcome._tag === "Permanent" ? "Permanent" : "Transient",
          message: outcome.message ?? `scripted ${outcome._tag.toLowerCase()} failure`,
          retryAfterMs: (outcome._tag === "Transient" ? outcome.retryAfterMs : undefined) ?? null,
        }),
      )
  }
}

const make = (types: ReadonlyArray<string>, maxRecorded: number) => {
  const recorded: Array<RecordedSend> = []
  const scripts = new Map<string, Array<ScriptedOutcome>>()
  const platformIds = new Map<string, string>()
  let decide: Decide = () => undefined

  const record = (channel: string, delivery: Delivery, at: number): ScriptedOutcome => {
    if (recorded.length >= maxRecorded) {
      return { _tag: "Transient", message: `the memory channel holds its limit of ${maxRecorded} sends` }
    }
    const outcome = decide(delivery, channel) ?? scripts.get(channel)?.shift() ?? { _tag: "Deliver" }
    const key = JSON.stringify([channel, delivery.id])
    const repeat = platformIds.has(key)
    const taken = takes(outcome)
    if (taken && !repeat) platformIds.set(key, `${channel}-${platformIds.size + 1}`)
    recorded.push({
      order: recorded.length + 1,
      at,
      channel,
      delivery,
      outcome: outcome._tag,
      taken,
      repeat,
    })
    return outcome
  }

  const channel = (type: string): Channel => ({
    type,
    send: Effect.fnUntraced(function* (delivery) {
      const outcome = record(type, delivery, yield* Clock.currentTimeMillis)
      return yield* replyOf(outcome, platformIds.get(JSON.stringify([type, delivery.id])) ?? null)
    }),
  })

  const channels = new Map(types.map((type) => [type, channel(type)]))
  return {
    channels: Channels.of({ get: (type) => channels.get(type), types: [...channels.keys()].sort() }),
    memory: {
      /** Every send, in order, whatever became of it. */
      sends: Effect.sync((): ReadonlyArray<RecordedSend> => [...recorded]),
      /** What the other side took, in order, repeats included. */
      taken: Effect.sync((): ReadonlyArray<RecordedSend> => recorded.filter((send) => send.taken)),
      /** Appends outcomes for the next sends of one channel; when none is left, sends deliver. */
      script: (type: string, outcomes: ReadonlyArray<ScriptedOutcome>) =>
        Effect.sync(() => void scripts.set(type, [...(scripts.get(type) ?? []), ...outcomes])),
      /** Asked before the script. */
      decideWith: (next: Decide) => Effect.sync(() => void (decide = next)),
    },
  }
}

/** Channels of the given types, each with a memory of its own for scripts, and one shared record. */
export const layer = (
  types: ReadonlyArray<string> = ["stdout"],
  options?: { readonly maxRecorded?: number },
): Layer.Layer<Channels | MemoryChannels> =>
  Layer.effectContext(
    Effect.sync(() => {
      const { channels, memory } = make(types, options?.maxRecorded ?? DEFAULT_MAX_RECORDED)
      return Context.make(Channels, channels).pipe(Context.add(MemoryChannels, memory))
    }),
  )
