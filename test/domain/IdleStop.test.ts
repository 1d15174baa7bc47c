import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { decideIdle, type IdleInput } from "../../src/domain/SweepPlan.ts"
import { DAY_MS, type EpochMs, HOUR_MS, MINUTE_MS } from "../../src/domain/Instant.ts"
import { defaultPolicy } from "../../src/domain/Policy.ts"

const T: EpochMs = 1_800_000_000_000
const resting: IdleInput = {
  activeAt: T,
  ageOrigin: 0,
  openClaims: 0,
  tool: "none",
  due: "nothing",
}

describe("the idle stop", () => {
  it("stops a container that did nothing for more than 5 minutes, not for exactly 5", () => {
    const limit = T + 5 * MINUTE_MS
    assert.deepStrictEqual(decideIdle(resting, limit, defaultPolicy), {
      _tag: "Stay",
      nextChangeAt: limit + 1,
    })
    assert.deepStrictEqual(decideIdle(resting, limit + 1, defaultPolicy), {
      _tag: "Stop",
      idleForMs: 5 * MINUTE_MS + 1,
    })
  })

  it("never stops one that has work in any form, and then waits for an event", () => {
    const work: ReadonlyArray<Partial<IdleInput>> = [{ openClaims: 1 }, { tool: "in-flight" }, { due: "due" }]
    for (const some of work) {
      const decision = decideIdle({ ...resting, ...some }, T + DAY_MS, defaultPolicy)
      assert.deepStrictEqual(decision, { _tag: "Stay", nextChangeAt: null })
    }
  })

  it("follows the group's limit", () => {
    const policy = { ...defaultPolicy, idleMs: 0 }
    assert.strictEqual(decideIdle(resting, T, policy)._tag, "Stay")
    assert.deepStrictEqual(decideIdle(resting, T + 1, policy), { _tag: "Stop", idleForMs: 1 })
  })

  it("starts counting again after a clock jump", () => {
    const jumped = { ...resting, ageOrigin: T + HOUR_MS }
    const limit = T + HOUR_MS + 5 * MINUTE_MS
    assert.strictEqual(decideIdle(jumped, limit, defaultPolicy)._tag, "Stay")
    assert.strictEqual(decideIdle(jumped, limit + 1, defaultPolicy)._tag, "Stop")
  })

  it.prop(
    "changes exactly at the instant that it announced",
    {
      passedMs: Schema.Int.check(Schema.isBetween({ minimum: -HOUR_MS, maximum: HOUR_MS })),
      jumpMs: Schema.Int.check(Schema.isBetween({ minimum: -HOUR_MS, maximum: HOUR_MS })),
    },
    ({ passedMs, jumpMs }) => {
      const input = { ...resting, ageOrigin: T + jumpMs }
      const decision = decideIdle(input, T + passedMs, defaultPolicy)
      if (decision._tag === "Stop") return assert.isAbove(decision.idleForMs, defaultPolicy.idleMs)
      const changeAt = decision.nextChangeAt ?? 0
      assert.isAbove(changeAt, T + passedMs)
      assert.strictEqual(decideIdle(input, changeAt, defaultPolicy)._tag, "Stop")
      assert.strictEqual(decideIdle(input, changeAt - 1, defaultPolicy)._tag, "Stay")
    },
  )
})
