import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  deadOfAge,
  decideDelivery,
  type DeliveryFailure,
  MAX_ASKED_PAUSE_MS,
} from "../../src/domain/Delivery.ts"
import {
  DAY_MS,
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
  decideDelivery({ attempts, firstAttemptAt: null }, failure, T, defaultPolicy)

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

  it("waits as long as the channel asks, if that is longer than the backoff and at most a day", () => {
    const asked = (retryAfterMs: number) => decide(3, { ...busy, retryAfterMs })
    assert.deepInclude(asked(10 * MINUTE_MS), { delayMs: 10 * MINUTE_MS, nextAttemptAt: T + 10 * MINUTE_MS })
    assert.deepInclude(asked(7_999), { delayMs: 8_000 })
    assert.deepInclude(asked(8_001), { delayMs: 8_001 })
    assert.deepInclude(asked(2 * HOUR_MS), { delayMs: 2 * HOUR_MS })
    assert.deepInclude(asked(DAY_MS), { delayMs: DAY_MS })
    assert.deepInclude(asked(DAY_MS + 1), { delayMs: DAY_MS })
  })

  it("takes no nonsense for a pause", () => {
    for (const retryAfterMs of [0, -5, Number.NaN, -Infinity]) {
      assert.deepInclude(decide(0, { ...busy, retryAfterMs }), { delayMs: SECOND_MS })
    }
    assert.deepInclude(decide(0, { ...busy, retryAfterMs: Infinity }), { delayMs: DAY_MS })
    assert.deepInclude(decide(0, { ...busy, retryAfterMs: 1_500.2 }), { delayMs: 1_501 })
  })

  it("is never scheduled past the end of time", () => {
    const decision = decideDelivery({ attempts: 0, firstAttemptAt: null }, busy, MAX_EPOCH_MS, defaultPolicy)
    assert.deepInclude(decision, { _tag: "Retry", nextAttemptAt: MAX_EPOCH_MS })
  })

  it("spends no attempt for a wait that the channel asked for, however often it asks", () => {
    for (const spent of [0, 3, 11]) {
      assert.deepInclude(decide(spent, { ...busy, retryAfterMs: 7_200_000 }), {
        _tag: "Retry",
        attempts: spent,
        delayMs: 7_200_000,
      })
    }
  })

  it("is dead three days after its first attempt, whatever was asked and not before", () => {
    const failed = (ageMs: number, failure: DeliveryFailure = busy) =>
      decideDelivery({ attempts: 3, firstAttemptAt: T - ageMs }, failure, T, defaultPolicy)
    assert.strictEqual(failed(3 * DAY_MS - 1)._tag, "Retry")
    const dead = failed(3 * DAY_MS)
    assert.strictEqual(dead._tag, "Dead")
    assert.include(dead._tag === "Dead" ? dead.reason : "", "503 busy")
    // A wait that would pass the limit ends there, and then nothing is sent before the channel wants it.
    const cut = failed(3 * DAY_MS - HOUR_MS, { ...busy, retryAfterMs: DAY_MS })
    assert.deepInclude(cut, { _tag: "Retry", nextAttemptAt: T + HOUR_MS })
    const row = { firstAttemptAt: T - 3 * DAY_MS, lastError: "503 busy" }
    assert.include(deadOfAge({ ...row, nextAttemptAt: T }, defaultPolicy), "503 busy")
    assert.isUndefined(deadOfAge({ ...row, nextAttemptAt: T - 1 }, defaultPolicy), "it waited for the daemon")
    assert.isUndefined(deadOfAge({ ...row, firstAttemptAt: null, nextAttemptAt: T }, defaultPolicy))
  })

  it.prop(
    "ends after its limit of attempts, and waits a bounded, whole time before each",
    {
      deliveryLimit: Policy.fields.deliveryLimit,
      deliveryBaseMs: Millis,
      deliveryCapMs: Millis,
      attempts: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_100 })),
      deliveryMaxAgeMs: Millis,
      ageMs: Millis,
      retryAfterMs: Schema.NullOr(Schema.Number),
    },
    ({ ageMs, attempts, retryAfterMs, ...policy }) => {
      const row = { attempts, firstAttemptAt: T - ageMs }
      const decision = decideDelivery(row, { ...busy, retryAfterMs }, T, policy)
      const spent = attempts + (retryAfterMs !== null && retryAfterMs > 0 ? 0 : 1)
      assert.strictEqual(decision.attempts, spent)
      const over = spent >= policy.deliveryLimit || ageMs >= policy.deliveryMaxAgeMs
      assert.strictEqual(decision._tag, over ? "Dead" : "Retry")
      if (decision._tag === "Dead") return
      const left = policy.deliveryMaxAgeMs - ageMs
      assert.isTrue(Number.isSafeInteger(decision.delayMs))
      assert.isAtLeast(decision.delayMs, Math.min(policy.deliveryBaseMs, policy.deliveryCapMs, left))
      assert.isAtMost(decision.delayMs, Math.min(Math.max(MAX_ASKED_PAUSE_MS, policy.deliveryCapMs), left))
    },
  )
})
