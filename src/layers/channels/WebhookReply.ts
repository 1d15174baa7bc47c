/** What a webhook's answer means: taken, worth another try, or never. Decided from status, `retry-after` and a bounded body. */
import { Option, Schema } from "effect"
import { ChannelError } from "../../services/Channels.ts"
import { SECOND_MS } from "../../domain/Instant.ts"

const MAX_PLATFORM_ID_LENGTH = 256

const imfFixdate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** `retry-after` as milliseconds from now: whole seconds or an HTTP date. Null when it is absent or says nothing usable. */
export const retryAfterMs = (header: string | undefined, nowMs: number): number | null => {
  const text = header?.trim()
  if (text === undefined || text === "") return null
  if (/^\d{1,12}$/.test(text)) return Number(text) * SECOND_MS
  const at = imfFixdate.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(at - nowMs, 0)
}

/** The other side's id of the message: `id` or `messageId` of a JSON object, if it is a string of bounded length. */
export const platformMessageIdOf = (body: string): string | null => {
  const { id, messageId } = Option.getOrElse(decodeReply(body), (): typeof Reply.Type => ({}))
  return [id, messageId].find(isPlatformId) ?? null
}

const Reply = Schema.Struct({
  id: Schema.optionalKey(Schema.Unknown),
  messageId: Schema.optionalKey(Schema.Unknown),
})
const decodeReply = Schema.decodeUnknownOption(Schema.fromJsonString(Reply))
const isPlatformId = Schema.is(Schema.String.check(Schema.isBetweenLength(1, MAX_PLATFORM_ID_LENGTH)))

/** Null: the webhook took it. `where` names the webhook in the error. */
export const refusalOf = (
  reply: { readonly status: number; readonly retryAfter: string | undefined; readonly nowMs: number },
  where: string,
): ChannelError | null => {
  const { status } = reply
  if (status >= 200 && status < 300) return null
  const { permanent, transient } = ChannelError
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return transient(`${where} answered ${status}`, retryAfterMs(reply.retryAfter, reply.nowMs))
  }
  if (status >= 300 && status < 400) {
    return permanent(
      `${where} answered ${status}: redirects are not followed, configure the address that it points to`,
    )
  }
  if (status === 410) return permanent(`${where} answered 410: it takes no messages any more`)
  return permanent(`${where} answered ${status}`)
}
