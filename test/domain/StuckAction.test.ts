import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { MessageId } from "../../src/domain/Ids.ts"
import { type EpochMs, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../src/domain/Instant.ts"
import { defaultPolicy, type Policy } from "../../src/domain/Policy.ts"
import { decideStuckAction, type Liveness } from "../../src/domain/StuckAction.ts"

const SPAWN: EpochMs = 1_800_000_000_000
const messageId = MessageId.make("m1")

const container = (seen: Partial<Liveness>): Liveness => ({
  spawnedAt: SPAWN,
  ageOrigin: 0,
  heartbeatAt: null,
  claims: [],
  anyAck: false,
  workDueSince: null,
  tool: null,
  ...seen,
})

const claim = (
  claimedAt: EpochMs | null,
  more: Partial<Liveness["claims"][number]> = {},
): Liveness["claims"][number] => ({
  messageId,
  claimedAt,
  precision: "ms",
  firstSeenAt: claimedAt ?? SPAWN,
  answered: false,
  ...more,
})

const tool = (declaredTimeoutMs: number | null, startedAt: EpochMs | null): Liveness["tool"] => ({
  tool: "Bash",
  declaredTimeoutMs,
  startedAt,
})

const decide = (liveness: Liveness, now: EpochMs, policy: Policy = defaultPolicy) =>
  decideStuckAction(liveness, now, policy)

/** Fine at the limit, with the limit's successor announced; killed one millisecond later. Returns the kill. */
const killedJustAfter = (liveness: Liveness, limit: EpochMs, policy: Policy = defaultPolicy) => {
  assert.deepStrictEqual(decide(liveness, limit, policy), { _tag: "Ok", nextChangeAt: limit + 1 })
  return decide(liveness, limit + 1, policy)
}

describe("the ceiling", () => {
  it("kills a container whose heartbeat is older than 30 minutes, not one whose is exactly that old", () => {
    const heartbeatAt = SPAWN + MINUTE_MS
    const action = killedJustAfter(container({ heartbeatAt, anyAck: true }), heartbeatAt + 30 * MINUTE_MS)
    assert.deepStrictEqual(action, {
      _tag: "KillCeiling",
      heartbeatAgeMs: 30 * MINUTE_MS + 1,
      ceilingMs: 30 * MINUTE_MS,
    })
  })

  it("is not the rule for a container without any heartbeat", () => {
    const action = decide(container({ anyAck: true }), SPAWN + 90 * HOUR_MS)
    assert.deepStrictEqual(action, { _tag: "Ok", nextChangeAt: null })
  })

  it("ignores a heartbeat from before the spawn, and takes one of the very instant", () => {
    const now = SPAWN + 40 * MINUTE_MS
    assert.strictEqual(decide(container({ heartbeatAt: SPAWN - 1, anyAck: true }), now)._tag, "Ok")
    assert.strictEqual(decide(container({ heartbeatAt: SPAWN, anyAck: true }), now)._tag, "KillCeiling")
  })

  it("lets a silent Bash with a declared timeout of 45 minutes live, and kills one without at 30", () => {
    const startedAt = SPAWN + MINUTE_MS
    const seen = { heartbeatAt: startedAt, anyAck: true, claims: [claim(startedAt - 1)] }
    const declared = container({ ...seen, tool: tool(45 * MINUTE_MS, startedAt) })
    const action = killedJustAfter(declared, startedAt + 45 * MINUTE_MS)
    assert.deepStrictEqual(action, {
      _tag: "KillCeiling",
      heartbeatAgeMs: 45 * MINUTE_MS + 1,
      ceilingMs: 45 * MINUTE_MS,
    })
    for (const plain of [null, tool(null, startedAt), tool(0, startedAt), tool(-5, startedAt)]) {
      const silent = container({ ...seen, tool: plain })
      assert.strictEqual(killedJustAfter(silent, startedAt + 30 * MINUTE_MS)._tag, "KillCeiling")
    }
  })

  it("a declared timeout below the ceiling shortens nothing", () => {
    const seen = container({ heartbeatAt: SPAWN, anyAck: true, tool: tool(5 * MINUTE_MS, SPAWN) })
    assert.strictEqual(killedJustAfter(seen, SPAWN + 30 * MINUTE_MS)._tag, "KillCeiling")
  })

  it("counts a declared timeout from the tool's start, not from the heartbeats around it", () => {
    const before = container({
      heartbeatAt: SPAWN + MINUTE_MS,
      anyAck: true,
      tool: tool(45 * MINUTE_MS, SPAWN + 20 * MINUTE_MS),
    })
    assert.deepInclude(killedJustAfter(before, SPAWN + 65 * MINUTE_MS), { ceilingMs: 64 * MINUTE_MS })
    const during = container({
      heartbeatAt: SPAWN + 40 * MINUTE_MS,
      anyAck: true,
      tool: tool(45 * MINUTE_MS, SPAWN),
    })
    assert.deepInclude(killedJustAfter(during, SPAWN + 70 * MINUTE_MS), { ceilingMs: 30 * MINUTE_MS })
  })

  it("gives nothing to a tool that declares nothing, however late it started", () => {
    const heartbeatAt = SPAWN + MINUTE_MS
    const late = tool(null, heartbeatAt + 40 * MINUTE_MS)
    const seen = container({ heartbeatAt, anyAck: true, tool: late })
    assert.strictEqual(decide(seen, heartbeatAt + 41 * MINUTE_MS)._tag, "KillCeiling")
    const claimed = container({ anyAck: true, claims: [claim(heartbeatAt)], tool: late })
    assert.strictEqual(decide(claimed, heartbeatAt + 41 * MINUTE_MS)._tag, "KillClaim")
  })

  it("takes a start at the very instant of the spawn for possible", () => {
    const claims = [claim(SPAWN + 3 * MINUTE_MS)]
    const seen = container({ heartbeatAt: SPAWN + 4 * MINUTE_MS, anyAck: true, claims })
    const declared = { ...seen, tool: tool(45 * MINUTE_MS, SPAWN) }
    assert.strictEqual(killedJustAfter(declared, SPAWN + 45 * MINUTE_MS)._tag, "KillCeiling")
  })

  it("caps what a tool declares for itself", () => {
    const eternal = container({
      heartbeatAt: SPAWN,
      anyAck: true,
      tool: tool(Number.MAX_SAFE_INTEGER, SPAWN),
    })
    assert.deepInclude(killedJustAfter(eternal, SPAWN + 24 * HOUR_MS), { ceilingMs: 24 * HOUR_MS })
  })

  it("counts from the latest claim when the tool's start can't be true, and from the spawn without a claim", () => {
    const claims = [claim(SPAWN + 2 * MINUTE_MS), claim(SPAWN + 3 * MINUTE_MS)]
    for (const startedAt of [null, SPAWN - 1, SPAWN + 9 * HOUR_MS]) {
      const seen = { heartbeatAt: SPAWN + 4 * MINUTE_MS, anyAck: true, tool: tool(45 * MINUTE_MS, startedAt) }
      assert.strictEqual(
        killedJustAfter(container({ ...seen, claims }), SPAWN + 48 * MINUTE_MS)._tag,
        "KillCeiling",
      )
      assert.strictEqual(killedJustAfter(container(seen), SPAWN + 45 * MINUTE_MS)._tag, "KillCeiling")
    }
  })

  it("counts the silence of a container that rested from the work that ended the rest", () => {
    const heartbeatAt = SPAWN + MINUTE_MS
    const workDueSince = SPAWN + 5 * HOUR_MS
    const rested = container({ heartbeatAt, anyAck: true, workDueSince })
    const action = killedJustAfter(rested, workDueSince + 30 * MINUTE_MS)
    assert.deepStrictEqual(action, {
      _tag: "KillCeiling",
      heartbeatAgeMs: 30 * MINUTE_MS + 1,
      ceilingMs: 30 * MINUTE_MS,
    })
    const claimed = container({ ...rested, claims: [claim(workDueSince)] })
    assert.propertyVal(killedJustAfter(claimed, workDueSince + MINUTE_MS), "_tag", "KillClaim")
  })

  it("starts ages again after a clock jump", () => {
    const jumpedTo = SPAWN + 10 * HOUR_MS
    const seen = container({ heartbeatAt: SPAWN, anyAck: true, ageOrigin: jumpedTo })
    const action = killedJustAfter(seen, jumpedTo + 30 * MINUTE_MS)
    assert.deepInclude(action, { heartbeatAgeMs: 30 * MINUTE_MS + 1 })
    const declared = { ...seen, tool: tool(45 * MINUTE_MS, SPAWN) }
    assert.strictEqual(killedJustAfter(declared, jumpedTo + 45 * MINUTE_MS)._tag, "KillCeiling")
  })
})

describe("the claim rule", () => {
  it("kills a container that claimed a message and went quiet for more than a minute", () => {
    const claimedAt = SPAWN + SECOND_MS
    const seen = container({ heartbeatAt: SPAWN, anyAck: true, claims: [claim(claimedAt)] })
    assert.deepStrictEqual(killedJustAfter(seen, claimedAt + MINUTE_MS), {
      _tag: "KillClaim",
      messageId,
      claimAgeMs: MINUTE_MS + 1,
      toleranceMs: MINUTE_MS,
    })
  })

  it("takes a heartbeat after the claim for life, and one of the same instant not", () => {
    const claimedAt = SPAWN + SECOND_MS
    const now = claimedAt + 2 * MINUTE_MS
    const beating = (heartbeatAt: EpochMs) =>
      decide(container({ heartbeatAt, anyAck: true, claims: [claim(claimedAt)] }), now)
    assert.strictEqual(beating(claimedAt + 1)._tag, "Ok")
    assert.strictEqual(beating(claimedAt)._tag, "KillClaim")
  })

  it("a claim left by the previous container does not kill the fresh one", () => {
    const stale = container({ anyAck: false, claims: [claim(SPAWN - 1)] })
    assert.deepStrictEqual(decide(stale, SPAWN + HOUR_MS), { _tag: "Ok", nextChangeAt: null })
    const fresh = container({ anyAck: true, claims: [claim(SPAWN)] })
    assert.strictEqual(killedJustAfter(fresh, SPAWN + MINUTE_MS)._tag, "KillClaim")
  })

  it("names the claim that hangs, not those that live beside it", () => {
    const hung = MessageId.make("hung")
    const claims = [
      claim(SPAWN - 5, { messageId: MessageId.make("stale") }),
      claim(SPAWN + 1, { messageId: MessageId.make("alive") }),
      claim(SPAWN + 50, { messageId: hung }),
    ]
    const seen = container({ heartbeatAt: SPAWN + 40, anyAck: true, claims })
    assert.deepInclude(killedJustAfter(seen, SPAWN + 50 + MINUTE_MS), { messageId: hung })
  })

  it("counts an unparsable claim time, and one from the future, from the host's first sight of it", () => {
    const firstSeenAt = SPAWN + 30 * SECOND_MS
    for (const claimedAt of [null, firstSeenAt + 1, firstSeenAt + 50 * HOUR_MS]) {
      const seen = container({ anyAck: true, claims: [claim(claimedAt, { firstSeenAt })] })
      assert.deepInclude(killedJustAfter(seen, firstSeenAt + MINUTE_MS), { toleranceMs: MINUTE_MS })
      const beating = (heartbeatAt: EpochMs) =>
        decide({ ...seen, heartbeatAt }, firstSeenAt + 3 * MINUTE_MS)._tag
      assert.strictEqual(beating(firstSeenAt + 1), "Ok")
      assert.strictEqual(beating(firstSeenAt), "KillClaim")
    }
  })

  it("ignores an unparsable claim that was seen before the spawn, not one of the very instant", () => {
    const seen = container({ anyAck: true, claims: [claim(null, { firstSeenAt: SPAWN - 1 })] })
    assert.deepStrictEqual(decide(seen, SPAWN + HOUR_MS), { _tag: "Ok", nextChangeAt: null })
    const fresh = container({ anyAck: true, claims: [claim(null, { firstSeenAt: SPAWN })] })
    assert.strictEqual(decide(fresh, SPAWN + HOUR_MS)._tag, "KillClaim")
  })

  it("gives a claim the declared timeout of the tool in flight, from the tool's start", () => {
    const startedAt = SPAWN + 50 * SECOND_MS
    const seen = container({ anyAck: true, claims: [claim(SPAWN)], tool: tool(10 * MINUTE_MS, startedAt) })
    assert.deepInclude(killedJustAfter(seen, startedAt + 10 * MINUTE_MS), {
      _tag: "KillClaim",
      toleranceMs: 10 * MINUTE_MS + 50 * SECOND_MS,
    })
  })

  it("and from each claim itself when the tool's start can't be true", () => {
    for (const startedAt of [null, SPAWN - 1, SPAWN + 9 * HOUR_MS]) {
      const claims = [claim(SPAWN + 1), claim(SPAWN + 40)]
      const seen = container({ anyAck: true, claims, tool: tool(10 * MINUTE_MS, startedAt) })
      assert.deepInclude(killedJustAfter(seen, SPAWN + 1 + 10 * MINUTE_MS), {
        toleranceMs: 10 * MINUTE_MS,
      })
    }
  })

  it("takes a start that is a little in the future once its time has come", () => {
    const startedAt = SPAWN + 30 * SECOND_MS
    const seen = container({ anyAck: true, claims: [claim(SPAWN)], tool: tool(2 * MINUTE_MS, startedAt) })
    const limit = startedAt + 2 * MINUTE_MS
    assert.deepStrictEqual(decide(seen, SPAWN), { _tag: "Ok", nextChangeAt: limit + 1 })
    assert.strictEqual(killedJustAfter(seen, limit)._tag, "KillClaim")
  })

  it("up to a start at the very limit, and not one past it", () => {
    const declaredMs = 2 * MINUTE_MS
    const limit = SPAWN + declaredMs
    const starting = (startedAt: EpochMs) =>
      container({ anyAck: true, claims: [claim(SPAWN)], tool: tool(declaredMs, startedAt) })
    assert.deepStrictEqual(decide(starting(limit), SPAWN), {
      _tag: "Ok",
      nextChangeAt: limit + declaredMs + 1,
    })
    assert.deepStrictEqual(decide(starting(limit + 1), SPAWN), { _tag: "Ok", nextChangeAt: limit + 1 })
  })

  it("starts a claim's age again after a clock jump", () => {
    const jumpedTo = SPAWN + 3 * HOUR_MS
    const seen = container({ anyAck: true, ageOrigin: jumpedTo, claims: [claim(SPAWN)] })
    assert.deepInclude(killedJustAfter(seen, jumpedTo + MINUTE_MS), { claimAgeMs: MINUTE_MS + 1 })
  })
})

describe("a claim time that was cut to the second", () => {
  const cut = (claimedAt: EpochMs) =>
    claim(claimedAt, { precision: "s", firstSeenAt: claimedAt + 5 * SECOND_MS })

  it("is before the spawn only when its whole second is", () => {
    const inside = container({ spawnedAt: SPAWN + 999, anyAck: true, claims: [cut(SPAWN)] })
    assert.strictEqual(decide(inside, SPAWN + HOUR_MS)._tag, "KillClaim")
    const before = container({ spawnedAt: SPAWN + 1_000, anyAck: true, claims: [cut(SPAWN)] })
    assert.strictEqual(decide(before, SPAWN + HOUR_MS)._tag, "Ok")
  })

  it("is compared with heartbeats by the start of its second, and ages from its end", () => {
    const seen = container({ anyAck: true, claims: [cut(SPAWN)] })
    assert.deepInclude(killedJustAfter(seen, SPAWN + 999 + MINUTE_MS), { claimAgeMs: MINUTE_MS + 1 })
    const beating = (heartbeatAt: EpochMs) => decide({ ...seen, heartbeatAt }, SPAWN + 5 * MINUTE_MS)._tag
    assert.strictEqual(beating(SPAWN + 1), "Ok")
    assert.strictEqual(beating(SPAWN), "KillClaim")
  })

  it("can't be later than the host's first sight of it", () => {
    const seen = container({
      anyAck: true,
      claims: [claim(SPAWN, { precision: "s", firstSeenAt: SPAWN + 200 })],
    })
    assert.strictEqual(killedJustAfter(seen, SPAWN + 200 + MINUTE_MS)._tag, "KillClaim")
  })
})

describe("the startup rule", () => {
  it("kills a container that had work from its spawn and gave no sign for 5 minutes", () => {
    const seen = container({ workDueSince: SPAWN - HOUR_MS })
    assert.deepStrictEqual(killedJustAfter(seen, SPAWN + 5 * MINUTE_MS), {
      _tag: "KillStartup",
      ageMs: 5 * MINUTE_MS + 1,
      limitMs: 5 * MINUTE_MS,
    })
  })

  it("counts from the work when that came later, and never without work", () => {
    const dueSince = SPAWN + 4 * MINUTE_MS
    const late = container({ workDueSince: dueSince })
    assert.strictEqual(killedJustAfter(late, dueSince + 5 * MINUTE_MS)._tag, "KillStartup")
    assert.deepStrictEqual(decide(container({}), SPAWN + 9 * HOUR_MS), { _tag: "Ok", nextChangeAt: null })
  })

  it("is satisfied by a heartbeat or an ack since the spawn, not by a heartbeat from before", () => {
    const now = SPAWN + 6 * MINUTE_MS
    const seen = (more: Partial<Liveness>) => decide(container({ workDueSince: SPAWN, ...more }), now)._tag
    assert.strictEqual(seen({ heartbeatAt: SPAWN }), "Ok")
    assert.strictEqual(seen({ anyAck: true }), "Ok")
    assert.strictEqual(seen({ heartbeatAt: SPAWN - 1 }), "KillStartup")
  })

  it("starts again after a clock jump", () => {
    const jumpedTo = SPAWN + 2 * HOUR_MS
    const seen = container({ workDueSince: SPAWN, ageOrigin: jumpedTo })
    assert.strictEqual(killedJustAfter(seen, jumpedTo + 5 * MINUTE_MS)._tag, "KillStartup")
  })
})

describe("every decision", () => {
  const within = (minimum: number, maximum: number) =>
    Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  // A few minutes around the spawn, with limits as short, so that every rule and every order of instants comes up.
  const instant = within(SPAWN - 2_000, SPAWN + 8_000)
  const policy: Policy = {
    ...defaultPolicy,
    ceilingMs: 3_000,
    claimToleranceMs: 1_500,
    startupLimitMs: 2_000,
    declaredTimeoutCapMs: 4_000,
  }
  const inputs = {
    heartbeatAt: Schema.NullOr(instant),
    claims: Schema.Array(
      Schema.Struct({
        claimedAt: Schema.NullOr(instant),
        precision: Schema.Literals(["ms", "s"]),
        firstSeenAt: instant,
        answered: Schema.Boolean,
      }),
    ).check(Schema.isMaxLength(4)),
    anyAck: Schema.Boolean,
    workDueSince: Schema.NullOr(instant),
    tool: Schema.NullOr(
      Schema.Struct({
        tool: Schema.Literal("Bash"),
        declaredTimeoutMs: Schema.NullOr(within(-1, 6_000)),
        startedAt: Schema.NullOr(instant),
      }),
    ),
    ageOrigin: Schema.Union([Schema.Literal(0), within(SPAWN, SPAWN + 3_000)]),
    now: within(SPAWN, SPAWN + 9_000),
  }
  type Input = { readonly [Key in keyof typeof inputs]: (typeof inputs)[Key]["Type"] }
  /** Keeps the caller's promise that the host saw nothing in the future. */
  const livenessOf = (input: Input): Liveness => ({
    ...input,
    spawnedAt: SPAWN,
    ageOrigin: Math.min(input.ageOrigin, input.now),
    heartbeatAt: input.heartbeatAt === null ? null : Math.min(input.heartbeatAt, input.now),
    workDueSince: input.workDueSince === null ? null : Math.min(input.workDueSince, input.now),
    claims: input.claims.map((row, index) => ({
      ...row,
      messageId: MessageId.make(`m${index}`),
      firstSeenAt: Math.min(row.firstSeenAt, input.now),
    })),
  })

  it.prop("stays the same until nextChangeAt, and is a kill at it", inputs, (input) => {
    const liveness = livenessOf(input)
    const first = decideStuckAction(liveness, input.now, policy)
    if (first._tag !== "Ok") return
    const end = first.nextChangeAt ?? input.now + 60_000
    assert.isAbove(end, input.now)
    for (const at of [input.now + 1, Math.floor((input.now + end) / 2), end - 1]) {
      if (at >= input.now && at < end) assert.deepStrictEqual(decideStuckAction(liveness, at, policy), first)
    }
    if (first.nextChangeAt !== null) {
      assert.notStrictEqual(decideStuckAction(liveness, first.nextChangeAt, policy)._tag, "Ok")
    }
  })

  it.prop("kills only past a limit, by its own figures, and never before the policy's", inputs, (input) => {
    const action = decideStuckAction(livenessOf(input), input.now, policy)
    switch (action._tag) {
      case "Ok":
        return
      case "KillCeiling":
        assert.isAbove(action.heartbeatAgeMs, action.ceilingMs)
        assert.isAtLeast(action.ceilingMs, policy.ceilingMs)
        return
      case "KillClaim":
        assert.isAbove(action.claimAgeMs, action.toleranceMs)
        assert.isAtLeast(action.toleranceMs, policy.claimToleranceMs)
        return
      case "KillStartup":
        assert.isAbove(action.ageMs, policy.startupLimitMs)
    }
  })

  it.prop(
    "depends on nothing from before the spawn",
    {
      ...inputs,
      stale: Schema.Struct({
        claimedAt: within(SPAWN - 9_000, SPAWN - 1_000),
        precision: Schema.Literals(["ms", "s"]),
      }),
    },
    ({ stale, ...input }) => {
      const clean = { ...livenessOf(input), heartbeatAt: null }
      const left = { ...stale, messageId, firstSeenAt: input.now, answered: false }
      const dirty = { ...clean, heartbeatAt: SPAWN - 1, claims: [left, ...clean.claims] }
      assert.deepStrictEqual(
        decideStuckAction(dirty, input.now, policy),
        decideStuckAction(clean, input.now, policy),
      )
    },
  )

  it.prop("finds a container that beats now alive, whatever else it claims", inputs, (input) => {
    const liveness = { ...livenessOf(input), heartbeatAt: input.now }
    const action = decideStuckAction(liveness, input.now, policy)
    assert.strictEqual(action._tag, "Ok")
  })
})

describe("a claim that was answered once", () => {
  it("kills nobody, though the heartbeat that answered it does not look later than the claim any more", () => {
    const now = SPAWN + 20 * MINUTE_MS
    const seen = (answered: boolean) =>
      container({ heartbeatAt: SPAWN + 1, anyAck: true, claims: [claim(SPAWN + 2, { answered })] })
    assert.strictEqual(decide(seen(true), now)._tag, "Ok")
    assert.strictEqual(decide(seen(false), now)._tag, "KillClaim")
  })
})
