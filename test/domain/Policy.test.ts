import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { defaultPolicy, Policy, PolicyText } from "../../src/domain/Policy.ts"
import { contract } from "../../src/services/operations/Contract.ts"

const decode = Schema.decodeUnknownResult(PolicyText, { onExcessProperty: "error" })

describe("a policy as people write it", () => {
  it("takes lengths of time as settings do, and numbers as before", () => {
    const written = {
      ceilingMs: "5 seconds",
      idleMs: "PT5M",
      graceMs: 1_000,
      retryCapMs: "1h",
      retryLimit: 3,
    }
    assert.deepStrictEqual(
      decode(written),
      Result.succeed({
        ceilingMs: 5_000,
        idleMs: 300_000,
        graceMs: 1_000,
        retryCapMs: 3_600_000,
        retryLimit: 3,
      }),
    )
    assert.deepStrictEqual(decode({ retryCapMs: null }), Result.succeed({ retryCapMs: null }))
  })

  for (const wrong of [
    { ceilingMs: "soon" },
    { ceilingMs: "11000 days" },
    { retryLimit: "3s" },
    { ceilingMs: "5" },
  ]) {
    it(`refuses ${JSON.stringify(wrong)}`, () => assert.isTrue(Result.isFailure(decode(wrong))))
  }

  it("is written with whole milliseconds, and every operation that takes a policy takes it so", () => {
    assert.deepStrictEqual(Schema.encodeSync(PolicyText)(defaultPolicy), defaultPolicy)
    assert.deepStrictEqual(
      Schema.decodeUnknownSync(contract.updateGroup.input)({
        id: "g1",
        policy: { idleMs: "90s" },
      }) as unknown,
      { id: "g1", policy: { idleMs: 90_000 } },
    )
  })

  it("every field describes itself: the manual and the settings are written from it", () => {
    for (const [name, field] of Object.entries(Policy.fields)) {
      assert.isString(Schema.resolveAnnotations(field)?.["description"], name)
    }
  })
})
