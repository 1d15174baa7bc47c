import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Result } from "effect"
import { NodeHttpClient } from "@effect/platform-node"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import { createServer } from "node:net"
import * as WebhookChannel from "../../../src/layers/channels/WebhookChannel.ts"
import { retryAfterMs } from "../../../src/layers/channels/WebhookReply.ts"
import { sign, signingKey, webhookId } from "../../../src/layers/channels/WebhookSignature.ts"
import { sampleDelivery } from "../../support/SampleDelivery.ts"
import { webhookReceiver } from "../../support/WebhookReceiver.ts"
import { patience } from "../../support/Patience.ts"

const keyBytes = Buffer.from("0123456789abcdef0123456789abcdef")
const secretText = `whsec_${keyBytes.toString("base64")}`

const channelTo = (url: string, options: { readonly secret?: string; readonly timeoutMs?: number } = {}) =>
  WebhookChannel.make({
    name: "hook",
    url,
    secret: Redacted.make(options.secret ?? secretText),
    timeoutMs: options.timeoutMs ?? 10_000,
  })

const test = (name: string, body: () => Effect.Effect<void, unknown, never>) => it.effect(name, body)
const withClient = NodeHttpClient.layerUndici

/** Sends one delivery to a receiver that answers with this status, headers and body. */
const sendAnswered = (answer: {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: string
}) =>
  Effect.gen(function* () {
    const receiver = yield* webhookReceiver
    receiver.answer = (_, response) =>
      void response.writeHead(answer.status, answer.headers).end(answer.body ?? "")
    const channel = yield* channelTo(`${receiver.origin}/in`)
    const result = yield* Effect.result(channel.send(sampleDelivery()))
    return { result, receiver }
  }).pipe(Effect.scoped, Effect.provide(withClient))

const failure = <A, E>(result: Result.Result<A, E>): E => {
  if (Result.isFailure(result)) return result.failure
  throw new Error("expected a failure, the send succeeded")
}

describe("WebhookChannel, what it sends", () => {
  test("posts the delivery as JSON, signed so that an independent verifier accepts it", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_001_999)
      const receiver = yield* webhookReceiver
      const channel = yield* channelTo(`${receiver.origin}/in?x=1`)
      yield* channel.send(sampleDelivery({ content: '{"text":"hé 🙂"}', threadId: "t1" }))

      assert.strictEqual(receiver.requests.length, 1)
      const request = receiver.requests[0]!
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.path, "/in?x=1")
      assert.deepStrictEqual(JSON.parse(request.body), {
        id: "s1/out-1",
        sessionId: "s1",
        inReplyTo: "m1",
        kind: "chat",
        platformId: "alice",
        threadId: "t1",
        createdAt: "2023-11-14T22:13:20.123Z",
        content: { text: "hé 🙂" },
      })
      assert.strictEqual(request.headers["content-type"], "application/json")
      assert.strictEqual(request.headers["idempotency-key"], "s1/out-1")
      assert.strictEqual(request.headers["webhook-id"], "s1/out-1")
      assert.strictEqual(request.headers["webhook-timestamp"], "1700000001")
      const expected = createHmac("sha256", keyBytes)
        .update(`s1/out-1.1700000001.${request.body}`)
        .digest("base64")
      assert.strictEqual(request.headers["webhook-signature"], `v1,${expected}`)
      assert.isUndefined(request.headers["traceparent"])
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  test("repeats a delivery under the same key", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      const channel = yield* channelTo(receiver.origin)
      yield* channel.send(sampleDelivery())
      yield* TestClock.adjust("5 seconds")
      yield* channel.send(sampleDelivery({ attempts: 1 }))
      const [first, second] = receiver.requests
      assert.strictEqual(first!.headers["idempotency-key"], second!.headers["idempotency-key"])
      assert.strictEqual(first!.headers["webhook-id"], second!.headers["webhook-id"])
      assert.strictEqual(first!.body, second!.body)
      assert.notStrictEqual(first!.headers["webhook-signature"], second!.headers["webhook-signature"])
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  test("signs with plain text secrets by their bytes", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      const channel = yield* channelTo(receiver.origin, { secret: "a plain text secret" })
      yield* channel.send(sampleDelivery())
      const { headers, body } = receiver.requests[0]!
      const expected = createHmac("sha256", "a plain text secret")
        .update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`)
        .digest("base64")
      assert.strictEqual(headers["webhook-signature"], `v1,${expected}`)
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  it("agrees with the specification's published example", () => {
    const key = Result.getOrThrow(signingKey(Redacted.make("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")))
    const content = {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestampSeconds: 1614265330,
      body: '{"test": 2432232314}',
    }
    assert.strictEqual(sign(key, content), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  })

  it("keeps dots out of webhook-id, and different ids different", () => {
    assert.strictEqual(webhookId("s1/host.1"), "s1/host%2E1")
    assert.notStrictEqual(webhookId("a.b"), webhookId("a2Eb"))
  })
})

describe("WebhookChannel, what it makes of the answer", () => {
  for (const [body, expected] of [
    ['{"id":"p-1"}', "p-1"],
    ['{"messageId":"p-2"}', "p-2"],
    ['{"id":7,"messageId":"p-3"}', "p-3"],
    [`{"id":"${"x".repeat(256)}"}`, "x".repeat(256)],
    [`{"id":"${"x".repeat(257)}"}`, null],
    ['{"id":""}', null],
    ["ok", null],
    ["", null],
    ["null", null],
    [`{"id":"p","pad":"${"x".repeat(70_000)}"}`, null],
  ] as const) {
    test(`200 with ${body.slice(0, 24)}: delivered as ${String(expected).slice(0, 10)}`, () =>
      Effect.gen(function* () {
        const { result } = yield* sendAnswered({ status: 200, body })
        assert.deepStrictEqual(Result.getOrThrow(result), { platformMessageId: expected })
      }))
  }

  for (const status of [201, 202, 204]) {
    test(`${status} is success`, () =>
      Effect.gen(function* () {
        assert.isTrue(Result.isSuccess((yield* sendAnswered({ status })).result))
      }))
  }

  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    test(`${status} is transient`, () =>
      Effect.gen(function* () {
        const error = failure((yield* sendAnswered({ status })).result)
        assert.strictEqual(error.kind, "Transient")
        assert.include(error.message, String(status))
      }))
  }

  for (const status of [400, 401, 403, 404, 409, 410, 413, 422]) {
    test(`${status} is permanent`, () =>
      Effect.gen(function* () {
        const error = failure((yield* sendAnswered({ status, headers: { "retry-after": "5" } })).result)
        assert.strictEqual(error.kind, "Permanent")
        assert.isNull(error.retryAfterMs)
      }))
  }

  for (const status of [301, 302, 307, 308]) {
    test(`${status} is permanent and not followed`, () =>
      Effect.gen(function* () {
        const { result, receiver } = yield* sendAnswered({ status, headers: { location: "/elsewhere" } })
        assert.strictEqual(failure(result).kind, "Permanent")
        assert.strictEqual(receiver.requests.length, 1)
      }))
  }

  test("passes on how long the server asks to wait", () =>
    Effect.gen(function* () {
      const { result } = yield* sendAnswered({ status: 429, headers: { "retry-after": "7" } })
      assert.strictEqual(failure(result).retryAfterMs, 7_000)
    }))

  it("reads retry-after as seconds or as an HTTP date, and ignores the rest", () => {
    const now = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT")
    assert.strictEqual(retryAfterMs("0", now), 0)
    assert.strictEqual(retryAfterMs("120", now), 120_000)
    assert.strictEqual(retryAfterMs("Wed, 21 Oct 2015 07:29:00 GMT", now), 60_000)
    assert.strictEqual(retryAfterMs("Wed, 21 Oct 2015 07:27:00 GMT", now), 0)
    assert.strictEqual(
      retryAfterMs("999999999", now),
      999_999_999_000,
      "how long is too long, the ledger says",
    )
    for (const useless of [undefined, "", "soon", "-1", "1.5", "Wed, 99 Foo 2015 07:27:00 GMT"]) {
      assert.isNull(retryAfterMs(useless, now))
    }
  })

  test("a server that never answers is given up at the timeout, and its connection closed", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      receiver.answer = () => {}
      const channel = yield* channelTo(receiver.origin, { timeoutMs: 3_000 })
      const fiber = yield* Effect.forkChild(Effect.result(channel.send(sampleDelivery())))
      yield* Effect.promise(() => receiver.arrived(1))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = failure(yield* Fiber.join(fiber))
      assert.strictEqual(error.kind, "Transient")
      assert.include(error.message, "3000 ms")
      yield* Effect.promise(async () => {
        const deadline = performance.now() + patience(5_000)
        while (receiver.openSockets() > 0 && performance.now() < deadline) {
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })
      assert.strictEqual(receiver.openSockets(), 0)
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  test("a body that never ends does not undo a 200", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      receiver.answer = (_, response) => {
        response.writeHead(200)
        const pump = () => {
          while (!response.destroyed && response.write(Buffer.alloc(16_384, "x")));
          if (!response.destroyed) response.once("drain", pump)
        }
        pump()
      }
      const channel = yield* channelTo(receiver.origin)
      assert.deepStrictEqual(yield* channel.send(sampleDelivery()), { platformMessageId: null })
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  test("a body that never comes does not undo a 200, however long the channel may take", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      receiver.answer = (_, response) => void response.writeHead(200).flushHeaders()
      const channel = yield* channelTo(receiver.origin, { timeoutMs: 600_000 })
      const fiber = yield* Effect.forkChild(channel.send(sampleDelivery()))
      yield* Effect.promise(() => receiver.arrived(1))
      while (fiber.pollUnsafe() === undefined) {
        yield* TestClock.adjust("5 seconds")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.deepStrictEqual(yield* Fiber.join(fiber), { platformMessageId: null })
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  test("nobody listening, or a connection cut before the answer, is transient", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      receiver.answer = (_, response) => void response.destroy()
      const cut = yield* channelTo(receiver.origin)
      assert.strictEqual(failure(yield* Effect.result(cut.send(sampleDelivery()))).kind, "Transient")

      const freePort = yield* Effect.promise(
        () =>
          new Promise<number>((resolve) => {
            const server = createServer()
            server.listen(0, "127.0.0.1", () => {
              const address = server.address()
              server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0))
            })
          }),
      )
      const nobody = yield* channelTo(`http://127.0.0.1:${freePort}/`)
      const error = failure(yield* Effect.result(nobody.send(sampleDelivery())))
      assert.strictEqual(error.kind, "Transient")
      assert.include(error.message, "ECONNREFUSED")
    }).pipe(Effect.scoped, Effect.provide(withClient)))
})

describe("WebhookChannel, what it never tells", () => {
  test("errors hold neither the secret nor the path and query of the URL", () =>
    Effect.gen(function* () {
      const receiver = yield* webhookReceiver
      const channel = yield* channelTo(`${receiver.origin}/path-token?key=query-token`)
      for (const answer of [400, 503, 301, 410]) {
        receiver.answer = (_, response) => void response.writeHead(answer).end(secretText)
        const error = failure(yield* Effect.result(channel.send(sampleDelivery())))
        for (const hidden of [secretText, keyBytes.toString("base64"), "path-token", "query-token"]) {
          assert.notInclude(JSON.stringify(error) + String(error), hidden)
        }
        assert.include(error.message, receiver.origin)
      }
    }).pipe(Effect.scoped, Effect.provide(withClient)))

  for (const url of [
    "ftp://example.org/",
    "not a url",
    "https://user:hunter2hunter2@example.org/",
    "file:///etc",
  ]) {
    test(`refuses the URL ${url.slice(0, 12)}… without repeating it`, () =>
      Effect.gen(function* () {
        const error = failure(yield* Effect.result(channelTo(url)))
        assert.strictEqual(error.kind, "Permanent")
        assert.notInclude(error.message, "hunter2")
      }).pipe(Effect.provide(withClient)))
  }

  for (const secret of [
    "short",
    "whsec_not/base64!",
    "whsec_",
    `whsec_${Buffer.alloc(23).toString("base64")}`,
  ]) {
    test(`refuses the secret ${secret.slice(0, 9)}… without repeating it`, () =>
      Effect.gen(function* () {
        const error = failure(yield* Effect.result(channelTo("https://example.org/", { secret })))
        assert.strictEqual(error.kind, "Permanent")
        assert.include(error.message, "whsec_ and the base64 of 24 to 64")
        assert.notInclude(error.message, secret === "whsec_" ? "whsec_," : secret)
      }).pipe(Effect.provide(withClient)))
  }
})
