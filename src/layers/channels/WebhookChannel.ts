/**
 * Channel `webhook`: one signed POST per delivery, headers and signature as the Standard Webhooks specification fixes them.
 * Never follows a redirect, never waits past its timeout, reads a bounded part of the answer. Error texts name the server by
 * its origin only: paths, queries and secrets stay out of the ledger and the logs.
 */
import { Clock, Effect, Option, type Redacted, Result, Stream } from "effect"
import {
  Headers,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
  type HttpClientResponse,
} from "effect/http"
import type { Delivery } from "../../domain/Delivery.ts"
import { SECOND_MS } from "../../domain/Instant.ts"
import { type Channel, ChannelError } from "../../services/Channels.ts"
import { encodeWithContent } from "./DeliveryContent.ts"
import { platformMessageIdOf, refusalOf } from "./WebhookReply.ts"
import { sign, signingKey, webhookId } from "./WebhookSignature.ts"

export const DEFAULT_WEBHOOK_TIMEOUT_MS = 10_000

/** How much of an answer is read; the rest is thrown away with its connection. */
const MAX_REPLY_BYTES = 64 * 1024
/** How long its body is waited for: all that it can add is an id. */
const REPLY_LIMIT_MS = 5_000

export interface WebhookChannelOptions {
  readonly name: string
  /** http or https, without user and password. */
  readonly url: string
  /** `whsec_` and base64, or plain text. */
  readonly secret: Redacted.Redacted
  /** For the whole exchange: connecting, sending, and reading the answer. */
  readonly timeoutMs: number
}

export const expectedUrl = "an http or https URL without user and password"

/** Fails with what was expected, never with what was given: a URL can carry a token. */
export const webhookUrl = (text: string): Result.Result<URL, string> => {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === ""
    ? Result.succeed(url)
    : Result.fail(expectedUrl)
}

/** The body that is signed and sent. `createdAt` is ISO 8601 in UTC. */
const webhookBody = (delivery: Delivery): string => {
  const { id, inReplyTo, kind, platformId, sessionId, threadId } = delivery
  const createdAt = new Date(delivery.createdAt).toISOString()
  return encodeWithContent({ id, sessionId, inReplyTo, kind, platformId, threadId, createdAt }, delivery)
}

const { permanent, transient } = ChannelError

/** The deepest cause's code (`ECONNREFUSED`, `UND_ERR_SOCKET`, …): it says what happened, and holds nothing of the request. */
const networkCode = (error: HttpClientError.HttpClientError): string => {
  let code = "network error"
  let cause: unknown = error.reason
  for (let depth = 0; depth < 5 && typeof cause === "object" && cause !== null; depth++) {
    if ("code" in cause && typeof cause.code === "string") code = cause.code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return code
}

/** The first bytes of the answer. The status has said what became of the delivery, so a body that breaks off is just shorter. */
const readBounded = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let bytes = 0
    return response.stream.pipe(
      Stream.runForEachWhile((chunk) =>
        Effect.sync(() => {
          chunks.push(chunk)
          bytes += chunk.length
          return bytes < MAX_REPLY_BYTES
        }),
      ),
      Effect.ignore,
      Effect.map(() => Buffer.concat(chunks).subarray(0, MAX_REPLY_BYTES).toString("utf8")),
    )
  })

/** The channel; a URL or a secret that can't be used is a permanent error. */
export const make = Effect.fnUntraced(function* (
  options: WebhookChannelOptions,
): Effect.fn.Return<Channel, ChannelError, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const refuse = (what: string) => (expected: string) =>
    permanent(`channel ${options.name}: ${what} must be ${expected}`)
  const url = yield* Effect.fromResult(Result.mapError(webhookUrl(options.url), refuse("url")))
  const key = yield* Effect.fromResult(Result.mapError(signingKey(options.secret), refuse("secret")))
  const where = `the webhook at ${url.origin}`

  const requestFor = (delivery: Delivery, nowMs: number) => {
    const body = webhookBody(delivery)
    const id = webhookId(delivery.id)
    const timestampSeconds = Math.floor(nowMs / SECOND_MS)
    return HttpClientRequest.post(url).pipe(
      HttpClientRequest.bodyText(body, "application/json"),
      HttpClientRequest.setHeaders({
        "user-agent": "lamplighter",
        "idempotency-key": delivery.id,
        "webhook-id": id,
        "webhook-timestamp": String(timestampSeconds),
        "webhook-signature": sign(key, { id, timestampSeconds, body }),
      }),
    )
  }

  const execute = (delivery: Delivery, nowMs: number) =>
    client.execute(requestFor(delivery, nowMs)).pipe(
      Effect.timeoutOrElse({
        duration: options.timeoutMs,
        orElse: () => Effect.fail(transient(`${where} did not answer within ${options.timeoutMs} ms`)),
      }),
      Effect.catchTag("HttpClientError", (error) =>
        Effect.fail(transient(`${where} could not be reached: ${networkCode(error)}`)),
      ),
      // The request's span would carry the whole URL, and the receiver would get our trace ids.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
    )

  const send = Effect.fnUntraced(function* (delivery: Delivery) {
    const startedMs = yield* Clock.currentTimeMillis
    const response = yield* execute(delivery, startedMs)
    const answeredMs = yield* Clock.currentTimeMillis
    const retryAfter = Option.getOrUndefined(Headers.get(response.headers, "retry-after"))
    const refusal = refusalOf({ status: response.status, retryAfter, nowMs: answeredMs }, where)
    const leftMs = Math.max(options.timeoutMs - (answeredMs - startedMs), 0)
    const body = yield* readBounded(response).pipe(
      Effect.timeoutOrElse({
        duration: refusal === null ? Math.min(leftMs, REPLY_LIMIT_MS) : 0,
        orElse: () => Effect.succeed(""),
      }),
    )
    if (refusal !== null) return yield* refusal
    return { platformMessageId: platformMessageIdOf(body) }
  })

  return { type: options.name, limitMs: options.timeoutMs, send }
})
