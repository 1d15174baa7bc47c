/** Where a message comes from, and so where its answer goes: a channel, a chat on it, a thread in that. */
import { Schema } from "effect"

export const Address = Schema.Struct({
  channelType: Schema.NullOr(Schema.String),
  platformId: Schema.NullOr(Schema.String),
  threadId: Schema.NullOr(Schema.String),
})
export type Address = typeof Address.Type

export const nowhere: Address = { channelType: null, platformId: null, threadId: null }

/** The address of a row that has one among other fields. */
export const addressOf = ({ channelType, platformId, threadId }: Address): Address => ({
  channelType,
  platformId,
  threadId,
})
