/**
 * The signature scheme of the Standard Webhooks specification (symmetric, `v1`): HMAC-SHA256 over `id.timestamp.body`, key and
 * signature in base64. The specification forbids `.` in an id, because `a.1` at time 2 would then sign like `a` at time 1.
 */
import { Redacted, Result } from "effect"
import { createHmac } from "node:crypto"

const PREFIX = "whsec_"
const MIN_RAW_BYTES = 16
const MAX_RAW_BYTES = 512
const MIN_KEY_BYTES = 24
const MAX_KEY_BYTES = 64

export const expectedSecret = `${PREFIX} and the base64 of ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} random bytes, or plain text of ${MIN_RAW_BYTES} to ${MAX_RAW_BYTES} bytes`

/** The bytes that a secret stands for. Fails with what was expected, never with what was given. */
export const signingKey = (
  secret: Redacted.Redacted,
): Result.Result<Redacted.Redacted<Uint8Array>, string> => {
  const text = Redacted.value(secret)
  if (!text.startsWith(PREFIX)) {
    const bytes = Buffer.from(text, "utf8")
    return bytes.length >= MIN_RAW_BYTES && bytes.length <= MAX_RAW_BYTES
      ? Result.succeed(Redacted.make(bytes))
      : Result.fail(expectedSecret)
  }
  const encoded = text.slice(PREFIX.length)
  const bytes = Buffer.from(encoded, "base64")
  // `Buffer.from` skips what is not base64: only what encodes back to itself was base64 throughout.
  const isBase64 = bytes.toString("base64").replace(/=+$/, "") === encoded.replace(/=+$/, "")
  return isBase64 && bytes.length >= MIN_KEY_BYTES && bytes.length <= MAX_KEY_BYTES
    ? Result.succeed(Redacted.make(bytes))
    : Result.fail(expectedSecret)
}

/** The `webhook-id` of a delivery: its id, with `.` written as `%2E`. Ids never hold a `%`, so no two become one. */
export const webhookId = (deliveryId: string): string => deliveryId.replaceAll(".", "%2E")

/** The value of `webhook-signature`. */
export const sign = (
  key: Redacted.Redacted<Uint8Array>,
  content: { readonly id: string; readonly timestampSeconds: number; readonly body: string },
): string => {
  const hmac = createHmac("sha256", Redacted.value(key))
  hmac.update(`${content.id}.${content.timestampSeconds}.${content.body}`, "utf8")
  return `v1,${hmac.digest("base64")}`
}
