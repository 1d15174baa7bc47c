import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { GroupId, SessionId } from "../../src/domain/Ids.ts"
import { type EpochMs, MINUTE_MS, SECOND_MS } from "../../src/domain/Instant.ts"
import { defaultPolicy } from "../../src/domain/Policy.ts"
import {
  fullStarts,
  nextStartAt,
  planWakes,
  refillStarts,
  type StartBucket,
  takeStarts,
  type WakeCandidate,
  wakeBackoffMs,
  type WakeInput,
} from "../../src/domain/WakeAdmission.ts"

const T: EpochMs = 1_800_000_000_000
const session = (name: string): SessionId => SessionId.make(name)

const candidate = (name: string, more: Partial<WakeCandidate> = {}): WakeCandidate => ({
  sessionId: session(name),
  groupId: GroupId.make("g"),
  priority: 1,
  wakeAt: T,
  maxContainersPerGroup: 10,
  ...more,
})

const plan = (candidates: ReadonlyArray<WakeCandidate>, more: Partial<WakeInput> = {}) =>
  planWakes({
    candidates,
    liveTotal: 0,
    liveByGroup: new Map(),
    maxContainers: 20,
    startsLeft: 20,
    breaker: "closed",
    ...more,
  })

describe("the backoff of a session that can't be started", () => {
  it("is 10 seconds, doubling to 5 minutes", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7].map((failures) => wakeBackoffMs(failures, defaultPolicy) / SECOND_MS)
    assert.deepStrictEqual(waits, [10, 20, 40, 80, 160, 300, 300])
  })

  it("is none without a failure, and never overflows", () => {
    assert.strictEqual(wakeBackoffMs(0, defaultPolicy), 0)
    assert.strictEqual(wakeBackoffMs(1_000_000, defaultPolicy), 5 * MINUTE_MS)
    assert.strictEqual(wakeBackoffMs(1_000_000, { ...defaultPolicy, wakeBackoffBaseMs: 0 }), 0)
  })
})

describe("planWakes", () => {
  it("goes by priority, then due time, then id", () => {
    const planned = plan([
      candidate("b"),
      candidate("a"),
      candidate("early", { wakeAt: T - 1 }),
      candidate("urgent", { priority: 2, wakeAt: T + 5 }),
      candidate("low", { priority: 0, wakeAt: T - 9 }),
    ])
    assert.deepStrictEqual(planned, { admit: ["urgent", "early", "a", "b", "low"].map(session), waiting: [] })
  })

  it("fills the host up to its cap, and not beyond", () => {
    const planned = plan([candidate("a"), candidate("b"), candidate("c")], { liveTotal: 18 })
    assert.deepStrictEqual(planned, {
      admit: [session("a"), session("b")],
      waiting: [{ sessionId: session("c"), reason: "global-cap" }],
    })
    assert.deepStrictEqual(plan([candidate("a")], { liveTotal: 20 }).admit, [])
    assert.deepStrictEqual(plan([candidate("a")], { liveTotal: 21 }).admit, [])
  })

  it("lets no group at its cap block another", () => {
    const busy = { groupId: GroupId.make("busy"), maxContainersPerGroup: 2 }
    const planned = plan(
      [candidate("a", { ...busy, priority: 2 }), candidate("b", { ...busy, priority: 2 }), candidate("c")],
      { liveTotal: 1, liveByGroup: new Map([[busy.groupId, 1]]) },
    )
    assert.deepStrictEqual(planned, {
      admit: [session("a"), session("c")],
      waiting: [{ sessionId: session("b"), reason: "group-cap" }],
    })
  })

  it("fills a group up to its cap with what it starts itself", () => {
    const two = { maxContainersPerGroup: 2 }
    const planned = plan([candidate("a", two), candidate("b", two), candidate("c", two)])
    assert.deepStrictEqual(planned, {
      admit: [session("a"), session("b")],
      waiting: [{ sessionId: session("c"), reason: "group-cap" }],
    })
  })

  it("starts no more than the rate allows, and counts only whole starts", () => {
    const candidates = [candidate("a"), candidate("b")]
    assert.deepStrictEqual(plan(candidates, { startsLeft: 1.999 }), {
      admit: [session("a")],
      waiting: [{ sessionId: session("b"), reason: "start-rate" }],
    })
    assert.deepStrictEqual(plan(candidates, { startsLeft: 0.999 }).admit, [])
    assert.strictEqual(plan(candidates, { startsLeft: 2 }).admit.length, 2)
  })

  it("admits none while the breaker is open, and exactly one to probe", () => {
    const candidates = [candidate("a"), candidate("b")]
    const open = plan(candidates, { breaker: "open" })
    assert.deepStrictEqual(open.admit, [])
    assert.deepStrictEqual(
      open.waiting.map((row) => row.reason),
      ["breaker", "breaker"],
    )
    assert.deepStrictEqual(plan(candidates, { breaker: "probe" }), {
      admit: [session("a")],
      waiting: [{ sessionId: session("b"), reason: "breaker" }],
    })
  })

  it("probes with the first that may start, not with one that waits for its group", () => {
    const full = { groupId: GroupId.make("full"), maxContainersPerGroup: 1, priority: 2 }
    const planned = plan([candidate("a", full), candidate("b")], {
      liveTotal: 1,
      liveByGroup: new Map([[full.groupId, 1]]),
      breaker: "probe",
    })
    assert.deepStrictEqual(planned.admit, [session("b")])
  })

  it("considers a session once that is named twice", () => {
    assert.deepStrictEqual(plan([candidate("a"), candidate("a", { wakeAt: T + 1 })]), {
      admit: [session("a")],
      waiting: [],
    })
  })

  const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
  const generated = {
    rows: Schema.Array(
      Schema.Struct({
        sessionId: Schema.Literals(["a", "b", "c", "d", "e", "f"]),
        groupId: Schema.Literals(["g", "h"]),
        priority: small(2),
        wakeAt: small(3),
        maxContainersPerGroup: small(3),
      }),
    ).check(Schema.isMaxLength(8)),
    liveG: small(3),
    liveH: small(3),
    maxContainers: small(8),
    startsLeft: small(5),
    breaker: Schema.Literals(["closed", "open", "probe"]),
  }

  it.prop("breaks no cap and loses no candidate", generated, (input) => {
    const candidates = input.rows.map((row) => ({
      ...row,
      sessionId: session(row.sessionId),
      groupId: GroupId.make(row.groupId),
    }))
    const live = new Map([
      [GroupId.make("g"), input.liveG],
      [GroupId.make("h"), input.liveH],
    ])
    const liveTotal = input.liveG + input.liveH
    const { admit, waiting } = planWakes({ ...input, candidates, liveByGroup: live, liveTotal })
    const named = [...admit, ...waiting.map((row) => row.sessionId)]
    assert.strictEqual(new Set(named).size, named.length)
    assert.sameMembers(named, [...new Set(candidates.map((row) => row.sessionId))])
    assert.isAtMost(admit.length, Math.max(0, input.maxContainers - liveTotal))
    assert.isAtMost(admit.length, input.startsLeft)
    if (input.breaker === "open") assert.strictEqual(admit.length, 0)
    if (input.breaker === "probe") assert.isAtMost(admit.length, 1)
  })

  it.prop("makes nobody wait without a cap that is really reached", generated, (input) => {
    const candidates = input.rows.map((row, index) => ({
      ...row,
      sessionId: session(`s${index}`),
      groupId: GroupId.make(row.groupId),
    }))
    const live = new Map([
      [GroupId.make("g"), input.liveG],
      [GroupId.make("h"), input.liveH],
    ])
    const liveTotal = input.liveG + input.liveH
    const { admit, waiting } = planWakes({ ...input, candidates, liveByGroup: live, liveTotal })
    const groupOf = (id: SessionId) => candidates.find((row) => row.sessionId === id)
    for (const { sessionId, reason } of waiting) {
      const row = groupOf(sessionId)
      const inGroup = admit.filter((id) => groupOf(id)?.groupId === row?.groupId).length
      const reached = {
        breaker: input.breaker === "open" || (input.breaker === "probe" && admit.length === 1),
        "global-cap": liveTotal + admit.length >= input.maxContainers,
        "group-cap":
          (live.get(row?.groupId ?? GroupId.make("x")) ?? 0) + inGroup >= (row?.maxContainersPerGroup ?? 0),
        "start-rate": admit.length + 1 > input.startsLeft,
      }
      assert.isTrue(reached[reason], `${sessionId} waits for ${reason}`)
    }
  })
})

describe("the bucket of starts", () => {
  it("fills at its rate, up to one second's worth", () => {
    const empty: StartBucket = { tokens: 0, at: T }
    assert.deepStrictEqual(refillStarts(empty, T + 100, 20), { tokens: 2, at: T + 100 })
    assert.deepStrictEqual(refillStarts(empty, T + 3_000, 20), { tokens: 20, at: T + 3_000 })
    assert.deepStrictEqual(fullStarts(T, 20), { tokens: 20, at: T })
  })

  it("says when the next start is possible: then, and not a millisecond before", () => {
    const bucket = takeStarts(fullStarts(T, 3), 3)
    const at = nextStartAt(bucket, 3)
    assert.strictEqual(at, T + 334)
    assert.isAtLeast(refillStarts(bucket, at, 3).tokens, 1)
    assert.isBelow(refillStarts(bucket, at - 1, 3).tokens, 1)
    assert.strictEqual(nextStartAt({ tokens: 1, at: T }, 3), T)
  })

  it("never goes below empty", () => {
    assert.deepStrictEqual(takeStarts({ tokens: 0.5, at: T }, 2), { tokens: 0, at: T })
  })

  it("survives a clock that goes back: nothing is added, and it fills on from there", () => {
    const back = refillStarts({ tokens: 1, at: T }, T - 3_600_000, 10)
    assert.deepStrictEqual(back, { tokens: 1, at: T - 3_600_000 })
    assert.strictEqual(refillStarts(back, T - 3_600_000 + 100, 10).tokens, 2)
  })

  it.prop(
    "gives the same whether it is looked at once or often",
    {
      steps: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))).check(
        Schema.isMaxLength(20),
      ),
      maxPerSecond: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })),
    },
    ({ steps, maxPerSecond }) => {
      let bucket: StartBucket = { tokens: 0, at: T }
      let now = T
      for (const step of steps) {
        now += step
        bucket = refillStarts(bucket, now, maxPerSecond)
      }
      assert.deepStrictEqual(bucket, refillStarts({ tokens: 0, at: T }, now, maxPerSecond))
      const ready = refillStarts(bucket, nextStartAt(bucket, maxPerSecond), maxPerSecond)
      assert.isAtLeast(ready.tokens, 1)
    },
  )
})
