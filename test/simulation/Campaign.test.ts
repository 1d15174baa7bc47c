import { assert, describe, it } from "@effect/vitest"
import { describeFailure, planOf, runCampaign, runPlan, shrink, unseen } from "../../src/testing/Campaign.ts"
import { FAULT_KINDS } from "../../src/testing/FaultPlan.ts"
import { SERIES_SIGHTS } from "../../src/testing/SeriesWatch.ts"

describe("a campaign of seeded worlds", () => {
  it("finds every invariant kept, and every kind of fault at work", () => {
    const seeds = Array.from({ length: 40 }, (_, index) => `test-${index}`)
    const campaign = runCampaign({ seeds, days: 1, maxFailures: 1 })
    for (const failure of campaign.failures) {
      assert.fail([...describeFailure(failure), ...failure.trace].join("\n"))
    }
    assert.strictEqual(campaign.worlds, seeds.length)
    assert.isAbove(campaign.crashPoints, 10_000)
    // These are few worlds: what is rare is asked of the long campaign, which fails without it.
    assert.isBelow(unseen(campaign).length, FAULT_KINDS.length / 4)
  })

  it("leaves a plan no fault that its failure does not need", () => {
    // The daemon is told to retry at once, the invariants know better: any fault that costs a try is enough.
    const broken = { ...planOf("shrinks1", 1), misleading: { retryBaseMs: 10 } }
    const outcome = runPlan(broken)
    if (outcome.violation === null) return assert.fail("this world was expected to fail")
    assert.strictEqual(outcome.violation.invariant, 4)
    const smallest = shrink(broken, outcome.violation)
    assert.strictEqual(smallest.faults.length, 1)
    assert.strictEqual(runPlan(smallest).violation?.invariant, outcome.violation.invariant)
    for (const fault of smallest.faults) {
      const without = smallest.faults.filter((one) => one !== fault)
      assert.notStrictEqual(
        runPlan({ ...broken, faults: without }).violation?.invariant,
        outcome.violation.invariant,
        `fault ${fault.id} is not needed`,
      )
    }
  })

  it("says which kinds never struck, and what never became of a slot", () => {
    const struck = new Map(FAULT_KINDS.map((kind) => [kind, 1]))
    const sights = new Map(SERIES_SIGHTS.slice(1).map((sight) => [sight, 1]))
    assert.deepStrictEqual(unseen({ struck, sights }), ["clock-change", SERIES_SIGHTS[0]])
  })
})
