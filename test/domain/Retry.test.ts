import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { AttemptOutcome, backoffMs, costsTry, decideRetry } from "../../src/domain/Attempt.ts"
import { MAX_EPOCH_MS, type EpochMs, SECOND_MS } from "../../src/domain/Instant.ts"
import { type Message, MessageKind, MessageState } from "../../src/domain/Message.ts"
import { defaultPolicy, Policy } from "../../src/domain/Policy.ts"

const T: EpochMs = 1_800_000_000_000
const OPEN = { endedAt: null }

type Row = Pick<Message, "state" | "tries" | "dueAt" | "trigger" | "kind">
const claimed: Row = { state: "claimed", tries: 0, dueAt: T - 1_000, trigger: true, kind: "chat" }

const decide = (message: Row, outcome: AttemptOutcome, retryable = true, policy = defaultPolicy) =>
  decideRetry(message, OPEN, { outcome, retryable, at: T }, policy, 0)

describe("the backoff", () => {
  it("is 5, 10, 20, 40 and 80 seconds", () => {
    const schedule = [0, 1, 2, 3, 4].map((tries) => backoffMs(tries, defaultPolicy, 0) / SECOND_MS)
    assert.deepStrictEqual(schedule, [5, 10, 20, 40, 80])
  })

  it("stops growing at the cap, jitter included", () => {
    const policy = { ...defaultPolicy, retryCapMs: 20_000, retryJitter: 1 }
    assert.deepStrictEqual(
      [0, 1, 2, 3].map((tries) => backoffMs(tries, policy, 0.5)),
      [7_500, 15_000, 20_000, 20_000],
    )
  })

  it("adds at most the jitter's share", () => {
    const policy = { ...defaultPolicy, retryJitter: 0.2 }
    assert.strictEqual(backoffMs(0, policy, 0), 5_000)
    assert.strictEqual(backoffMs(0, policy, 1), 6_000)
    assert.strictEqual(backoffMs(0, defaultPolicy, 1), 5_000)
  })

  it.prop(
    "is whole, bounded, and grows with the tries, for every policy",
    {
      base: Policy.fields.retryBaseMs,
      cap: Policy.fields.retryCapMs,
      jitter: Policy.fields.retryJitter,
      tries: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 })),
      random: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    },
    ({ base, cap, jitter, tries, random }) => {
      const policy = { retryBaseMs: base, retryCapMs: cap, retryJitter: jitter }
      const wait = backoffMs(tries, policy, random)
      assert.isTrue(Number.isSafeInteger(wait))
      assert.isAtLeast(wait, Math.min(base, cap ?? base))
      assert.isAtMost(wait, cap ?? 315_576_000_000)
      assert.isAtLeast(backoffMs(tries + 1, policy, random), wait)
    },
  )
})

describe("the end of an attempt", () => {
  it("is told apart by whose fault it was", () => {
    const costly = AttemptOutcome.literals.filter(costsTry)
    assert.sameMembers([...costly], ["failed", "crashed", "stuck"])
  })

  it("completes or skips the message on the container's word", () => {
    assert.deepStrictEqual(decide(claimed, "completed"), { _tag: "Complete" })
    assert.deepStrictEqual(decide(claimed, "skipped"), { _tag: "Skip" })
  })

  it("schedules a retry from the end of the attempt and counts the try", () => {
    for (const outcome of ["failed", "crashed", "stuck"] as const) {
      assert.deepStrictEqual(decide({ ...claimed, tries: 2 }, outcome), {
        _tag: "Retry",
        tries: 3,
        dueAt: T + 20_000,
        backoffMs: 20_000,
      })
    }
  })

  it("releases at no cost what the host stopped or the container gave back, however often", () => {
    for (const outcome of ["host-stopped", "released"] as const) {
      assert.deepStrictEqual(decide({ ...claimed, tries: 5 }, outcome), { _tag: "Release", dueAt: T })
    }
  })

  it("leaves alone what is scheduled in the future", () => {
    const scheduled: Row = { ...claimed, state: "pending", tries: 1, dueAt: T + 1 }
    assert.deepStrictEqual(decide(scheduled, "released"), { _tag: "Release", dueAt: T + 1 })
    assert.deepStrictEqual(decide(scheduled, "crashed"), { _tag: "AlreadyClosed" })
    assert.strictEqual(decide({ ...scheduled, dueAt: T }, "crashed")._tag, "Retry")
  })

  it("executes a message six times by default: five retries, then failed", () => {
    let message = claimed
    const waits: Array<number> = []
    for (;;) {
      const decision = decide(message, "crashed")
      if (decision._tag !== "Retry") {
        assert.deepStrictEqual(decision, { _tag: "Fail", tries: 6, reason: "retries-exhausted" })
        break
      }
      waits.push(decision.backoffMs)
      message = { ...message, tries: decision.tries }
    }
    assert.deepStrictEqual(waits, [5_000, 10_000, 20_000, 40_000, 80_000])
  })

  it("fails at once with a retry limit of zero, and when the container says that it is of no use", () => {
    const never = { ...defaultPolicy, retryLimit: 0 }
    assert.deepStrictEqual(decide(claimed, "failed", true, never), {
      _tag: "Fail",
      tries: 1,
      reason: "retries-exhausted",
    })
    assert.deepStrictEqual(decide(claimed, "failed", false), {
      _tag: "Fail",
      tries: 1,
      reason: "not-retryable",
    })
    assert.strictEqual(decide(claimed, "released", false)._tag, "Release")
  })

  it("never spends a try of context rows", () => {
    for (const row of [{ trigger: false }, { kind: "system" as const }]) {
      for (const outcome of ["failed", "crashed", "stuck"] as const) {
        const decision = decide({ ...claimed, ...row, tries: 5 }, outcome, false)
        assert.deepStrictEqual(decision, { _tag: "Release", dueAt: T })
      }
      assert.strictEqual(decide({ ...claimed, ...row }, "completed")._tag, "Complete")
    }
  })

  it("happens once: a closed attempt, an ended message and a late word change nothing", () => {
    const end = { outcome: "crashed", retryable: true, at: T } as const
    assert.strictEqual(decideRetry(claimed, { endedAt: T }, end, defaultPolicy, 0)._tag, "AlreadyClosed")
    for (const state of ["completed", "skipped", "failed", "cancelled", "expired"] as const) {
      assert.strictEqual(decide({ ...claimed, state }, "crashed")._tag, "AlreadyClosed")
      assert.strictEqual(decide({ ...claimed, state }, "completed")._tag, "AlreadyClosed")
    }
    assert.strictEqual(decide(claimed, "late")._tag, "AlreadyClosed")
  })

  it("never schedules past the end of time", () => {
    const end = { outcome: "crashed", retryable: true, at: MAX_EPOCH_MS } as const
    const decision = decideRetry(claimed, OPEN, end, defaultPolicy, 0)
    assert.deepInclude(decision, { _tag: "Retry", dueAt: MAX_EPOCH_MS })
  })

  it.prop(
    "spends one try or none, only for a cause that costs one, and never retries early or past the limit",
    {
      state: MessageState,
      kind: MessageKind,
      trigger: Schema.Boolean,
      tries: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 })),
      dueIn: Schema.Int.check(Schema.isBetween({ minimum: -9_000, maximum: 9_000 })),
      outcome: AttemptOutcome,
      retryable: Schema.Boolean,
    },
    ({ dueIn, outcome, retryable, ...row }) => {
      const message: Row = { ...row, dueAt: T + dueIn }
      const decision = decide(message, outcome, retryable)
      if (decision._tag === "Retry" || decision._tag === "Fail") {
        assert.isTrue(costsTry(outcome) && message.trigger && message.kind !== "system")
        assert.strictEqual(decision.tries, message.tries + 1)
      }
      if (decision._tag === "Retry") {
        assert.isAtMost(decision.tries, defaultPolicy.retryLimit)
        assert.strictEqual(decision.dueAt, T + decision.backoffMs)
        assert.isAtLeast(decision.backoffMs, defaultPolicy.retryBaseMs)
      }
      if (decision._tag === "Release") assert.strictEqual(decision.dueAt, Math.max(T, message.dueAt))
    },
  )
})
