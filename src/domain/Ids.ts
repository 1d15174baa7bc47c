/**
 * Identifiers. All of them are short ASCII patterns, because they end up in paths, labels and SQL, and because some come
 * from inside a container, where everything is hostile until it has passed one of these schemas.
 */
import { Schema } from "effect"

const identifier = (pattern: RegExp, what: string) =>
  Schema.String.check(Schema.isPattern(pattern, { message: `expected ${what}` }))

const GROUP_ID = "a group id: 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit, and not 'global'"

/**
 * An agent group: also the name of its folder, so lower case only. `global` is reserved for the shared memory; that is a check of
 * its own, because generators can't make text for a pattern that looks ahead.
 */
export const GroupId = identifier(/^[a-z0-9][a-z0-9_-]{0,62}$/, GROUP_ID)
  .check(Schema.makeFilter((id) => id !== "global", { message: `expected ${GROUP_ID}` }))
  .pipe(Schema.brand("GroupId"))
export type GroupId = typeof GroupId.Type

/** A session: one conversation. */
export const SessionId = identifier(
  /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/,
  "a session id: 1 to 63 of A-Z, a-z, 0-9, _ and -, starting with a letter or digit",
).pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

const messageLike = (what: string) =>
  identifier(
    /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/,
    `${what}: 1 to 128 of A-Z, a-z, 0-9 and . _ : @ -, starting with a letter or digit`,
  )

/** A message addressed to a session. Unique over the whole ledger. */
export const MessageId = messageLike("a message id").pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

/** A row that a container wrote to `messages_out`: unique within its session only. */
export const OutboundId = messageLike("an outbound id").pipe(Schema.brand("OutboundId"))
export type OutboundId = typeof OutboundId.Type

/** A recurring (or one-off) task. */
export const SeriesId = messageLike("a task id").pipe(Schema.brand("SeriesId"))
export type SeriesId = typeof SeriesId.Type

/** A delivery; it is also the idempotency key that a channel receives. */
export const DeliveryId = identifier(/^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,255}$/, "a delivery id").pipe(
  Schema.brand("DeliveryId"),
)
export type DeliveryId = typeof DeliveryId.Type

/** One installation (one data directory): stamped on every container, so that two hosts on one engine never mix. */
export const InstallId = identifier(/^[a-z0-9]{8,32}$/, "an install id").pipe(Schema.brand("InstallId"))
export type InstallId = typeof InstallId.Type

/** One life of a session's container: 1, 2, 3… per session; 0 means "none yet". */
export const IncarnationNumber = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 }))
export type IncarnationNumber = typeof IncarnationNumber.Type
