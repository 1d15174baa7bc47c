import { assert, describe, it } from "@effect/vitest"
import { planOf, runPlan } from "../../src/testing/Campaign.ts"
import type { Fault } from "../../src/testing/FaultPlan.ts"
import { seededRandom } from "../../src/testing/SeededRandom.ts"
import { runWorld } from "../../src/testing/World.ts"
import { planWorld } from "../../src/testing/WorldShape.ts"

const calm = (seed: string, change: Partial<ReturnType<typeof planWorld>> = {}) =>
  runWorld({ seed, shape: { ...planWorld(seededRandom(seed), 1), ...change }, faults: [], trace: "all" })

describe("a simulated world", () => {
  it("runs the same way again for the same seed, to the last line of its trace", () => {
    const plan = planOf("again-1", 2)
    const first = runPlan(plan)
    const second = runPlan(plan)
    assert.isAbove(first.trace.count, 1_000)
    assert.strictEqual(first.trace.hash(), second.trace.hash())
    assert.strictEqual(first.tasks, second.tasks)
  })

  it("runs another way for another seed, and for another order of the fibers alone", () => {
    const plan = planOf("again-1", 1)
    const hash = runPlan(plan).trace.hash()
    assert.notStrictEqual(runPlan(planOf("again-2", 1)).trace.hash(), hash)
    const reordered = runWorld({ seed: "another order", shape: plan.shape, faults: plan.faults })
    assert.notStrictEqual(reordered.trace.hash(), hash)
  })

  it("does in fair weather all that it was asked to do, and nothing goes wrong", () => {
    const outcome = calm("fair")
    assert.isNull(outcome.violation)
    assert.isAbove(outcome.messages, 5)
    const lines = outcome.trace.lines
    assert.isFalse(lines.some((line) => line.includes("struck by")))
    assert.isTrue(lines.some((line) => line.includes("send m0: Success")))
  })

  it("does not spin where files can't be read, neither of what runs nor of what has died", () => {
    const shape = planWorld(seededRandom("blind"), 1)
    const faults = shape.sends.flatMap(({ at, session }, index): ReadonlyArray<Fault> => [
      { id: 2 * index, kind: "mailbox-unreadable", at: at + 5_000, session, ms: 480_000, nth: 1 },
      { id: 2 * index + 1, kind: "killed-outside", at: at + 6_000 + index * 3_000, session, ms: 1, nth: 1 },
    ])
    const outcome = runWorld({ seed: "blind", shape, faults })
    assert.isNull(outcome.violation)
    assert.isAbove(outcome.struck.get("killed-outside") ?? 0, 0)
    assert.isAbove(outcome.struck.get("mailbox-unreadable") ?? 0, 0)
  })

  it("passes through a whole day without any work and stays at rest", () => {
    const outcome = calm("idle", { sends: [], tasks: [] })
    assert.isNull(outcome.violation)
    assert.strictEqual(outcome.messages, 0)
    assert.isAtLeast(outcome.elapsedMs, 86_400_000)
  })

  it("comes back at every crash point of a message's way, and the message ends once", () => {
    const shape = {
      ...planWorld(seededRandom("points"), 1),
      sessions: 1,
      tasks: [],
      sends: [
        {
          at: 1_000,
          id: "m0",
          session: 0,
          dueInMs: 0,
          ttlMs: null,
          trigger: true,
          onWake: false,
          priority: 1 as const,
        },
      ],
    }
    let points = 0
    for (let nth = 1; nth <= 60; nth++) {
      const outcome = runWorld({
        seed: "points",
        shape: { ...shape, days: 0.05 },
        faults: [{ id: 0, kind: "daemon-crash", at: 900, session: 0, ms: 2_000, nth }],
        trace: "all",
      })
      assert.isNull(outcome.violation, `crash at point ${nth}: ${outcome.violation?.message}`)
      if (outcome.trace.lines.some((line) => line.includes("daemon killed at "))) points += 1
    }
    assert.isAtLeast(points, 50)
  })
})
