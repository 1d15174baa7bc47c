import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { decideDelivery, type DeliveryFailure, RETRY_AFTER_CAPS } from "../../src/domain/DeliveryRetry.ts"
import {
  type EpochMs,
  HOUR_MS,
  MAX_EPOCH_MS,
  Millis,
  MINUTE_MS,
  SECOND_MS,
} from "../../src/domain/Instant.ts"
import { defaultPolicy, Policy } from "../../src/domain/Policy.ts"

const T: EpochMs = 1_800_000_000_000
const busy: DeliveryFailure = { kind: "Transient", message: "503 busy", retryAfterMs: null }

const decide = (attempts: number, failure: DeliveryFailure = busy) =>
  decideDelivery({ attempts }, failure, T, defaultPolicy)

describe("a delivery that failed", () => {
  it("is tried again after 1, 2, 4 seconds and so on, up to 5 minutes", () => {
    const waits = Array.from({ length: 11 }, (_, attempts) => {
      const decision = decide(attempts)
      if (decision._tag !== "Retry") return assert.fail(`dead after ${attempts + 1}`)
      assert.strictEqual(decision.attempts, attempts + 1)
      assert.strictEqual(decision.nextAttemptAt, T + decision.delayMs)
      return decision.delayMs / SECOND_MS
    })
    assert.deepStrictEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
  })

  it("is dead after 12 attempts, not after 11, with the last reason", () => {
    assert.strictEqual(decide(10)._tag, "Retry")
    assert.deepStrictEqual(decide(11), {
      _tag: "Dead",
      attempts: 12,
      reason: "given up after 12 attempts: 503 busy",
    })
    assert.strictEqual(decide(99)._tag, "Dead")
  })

  it("is dead at once when the failure is permanent, whatever pause the channel asks for", () => {
    assert.deepStrictEqual(decide(0, { kind: "Permanent", message: "404", retryAfterMs: 5 }), {
      _tag: "Dead",
      attempts: 1,
      reason: "404",
    })
  })

  it("waits as long as the channel asks, if that is longer than the backoff and at most an hour", () => {
    const asked = (retryAfterMs: number) => decide(3, { ...busy, retryAfterMs })
    assert.deepInclude(asked(10 * MINUTE_MS), { delayMs: 10 * MINUTE_MS, nextAttemptAt: T + 10 * MINUTE_MS })
    assert.deepInclude(asked(7_999), { delayMs: 8_000 })
    assert.deepInclude(asked(8_001), { delayMs: 8_001 })
    assert.deepInclude(asked(HOUR_MS), { delayMs: HOUR_MS })
    assert.deepInclude(asked(HOUR_MS + 1), { delayMs: HOUR_MS })
  })

  it("takes no nonsense for a pause", () => {
    for (const retryAfterMs of [0, -5, Number.NaN, -Infinity]) {
      assert.deepInclude(decide(0, { ...busy, retryAfterMs }), { delayMs: SECOND_MS })
    }
    assert.deepInclude(decide(0, { ...busy, retryAfterMs: Infinity }), { delayMs: HOUR_MS })
    assert.deepInclude(decide(0, { ...busy, retryAfterMs: 1_500.2 }), { delayMs: 1_501 })
  })

  it("is never scheduled past the end of time", () => {
    const decision = decideDelivery({ attempts: 0 }, busy, MAX_EPOCH_MS, defaultPolicy)
    assert.deepInclude(decision, { _tag: "Retry", nextAttemptAt: MAX_EPOCH_MS })
  })

  it.prop(
    "ends after its limit of attempts, and waits a bounded, whole time before each",
    {
      deliveryLimit: Policy.fields.deliveryLimit,
      deliveryBaseMs: Millis,
      deliveryCapMs: Millis,
      attempts: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_100 })),
      retryAfterMs: Schema.NullOr(Schema.Number),
    },
    ({ attempts, retryAfterMs, ...policy }) => {
      const decision = decideDelivery({ attempts }, { ...busy, retryAfterMs }, T, policy)
      assert.strictEqual(decision.attempts, attempts + 1)
      assert.strictEqual(decision._tag, attempts + 1 >= policy.deliveryLimit ? "Dead" : "Retry")
      if (decision._tag === "Dead") return
      assert.isTrue(Number.isSafeInteger(decision.delayMs))
      assert.isAtLeast(decision.delayMs, Math.min(policy.deliveryBaseMs, policy.deliveryCapMs))
      assert.isAtMost(decision.delayMs, Math.max(1, RETRY_AFTER_CAPS) * policy.deliveryCapMs)
    },
  )
})
