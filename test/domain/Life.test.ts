import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../../src/domain/Instant.ts"
import {
  adopted,
  blinded,
  clockJumped,
  exited,
  ingested,
  inHostTime,
  killed,
  type Life,
  type Live,
  livenessOf,
  measured,
  observe,
  type Running,
  settled,
  signalled,
  skewMs,
  started,
  starting,
  stopped,
  supplied,
  unread,
} from "../../src/domain/Life.ts"
import { defaultPolicy } from "../../src/domain/Policy.ts"
import { decideStuckAction } from "../../src/domain/StuckAction.ts"
import { anIncarnation } from "../support/Rows.ts"

const SPAWN = 1_800_000_000_000
const born = (): Running => started(starting(anIncarnation({ spawnedAt: SPAWN, activeAt: SPAWN }), SPAWN, 0))

const claims = (changedAt: number | null, precision: "ms" | "s" = "ms") => ({
  acks: [{ messageId: "m1", status: "processing" as const, changedAt, precision }],
  tool: null,
  newestAt: changedAt,
})

const at = (now: number, before: number | null = now - SECOND_MS) => ({ now, before })
const exit = { exitCode: 0, signal: null, oomKilled: false, manner: "exited" as const }

describe("what a look makes of a heartbeat", () => {
  it("is the same life, object and all, where nothing changed", () => {
    const life = observe(born(), null, at(SPAWN + 1))
    assert.strictEqual(observe(life, null, at(SPAWN + 2)), life)
    const beating = observe(life, SPAWN + 500, at(SPAWN + SECOND_MS))
    assert.strictEqual(observe(beating, SPAWN + 500, at(SPAWN + 9_000)), beating)
    assert.strictEqual(beating.heartbeatAt, SPAWN + 500)
  })

  it("takes a beat of the future for one of the moment at which it was seen", () => {
    const life = observe(adopted(anIncarnation(), SPAWN, 0), SPAWN + HOUR_MS, at(SPAWN + 5, null))
    assert.strictEqual(life.heartbeatAt, SPAWN + 5)
  })

  it("ends blindness, which began with the first look that saw nothing", () => {
    const blind = blinded(blinded(born(), SPAWN + 1), SPAWN + 2)
    assert.strictEqual(blind.blindSince, SPAWN + 1)
    assert.isNull(observe(blind, null, at(SPAWN + 3)).blindSince)
  })
})

describe("the difference of the clocks", () => {
  for (const skew of [-HOUR_MS, -5 * MINUTE_MS, 0, 3 * SECOND_MS, HOUR_MS]) {
    it(`of ${skew} ms is measured by fresh beats and claims to within a look, and makes no hang of a container that works`, () => {
      let life: Live = born()
      for (let second = 1; second <= 600; second++) {
        const now = SPAWN + second * SECOND_MS
        life = observe(life, now - 300 + skew, at(now))
        if (second === 2) life = ingested(life, claims(now - 600 + skew), at(now))
        life = supplied(life, { work: "due", activeAt: SPAWN }, now)
        const action = decideStuckAction(livenessOf(life), now, defaultPolicy)
        assert.strictEqual(action._tag, "Ok", JSON.stringify(action))
      }
      assert.isAtMost(Math.abs(skewMs(life.rowSkew) - skew), 2 * SECOND_MS)
      assert.isAtMost(Math.abs(skewMs(life.fileSkew) - skew), 2 * SECOND_MS)
    })

    it(`of ${skew} ms excuses no hang after a claim, not even in the eyes of a daemon that starts again`, () => {
      const now = SPAWN + 10 * SECOND_MS
      const beat = observe(born(), SPAWN + 4_500 + skew, at(SPAWN + 5_000))
      const claimed = ingested(beat, claims(now - 200 + skew), at(now))
      const limit = now + defaultPolicy.claimToleranceMs
      const verdict = (life: Live, when: number) =>
        decideStuckAction(livenessOf(life), when, defaultPolicy)._tag
      assert.strictEqual(verdict(claimed, limit - 5 * SECOND_MS), "Ok")
      assert.strictEqual(verdict(claimed, limit + 1), "KillClaim")
      const row = anIncarnation({
        spawnedAt: SPAWN,
        activeAt: now,
        rowSkewMs: skewMs(claimed.rowSkew),
        fileSkewMs: skewMs(claimed.fileSkew),
      })
      const again = at(now + 30 * SECOND_MS, null)
      const seen = observe(adopted(row, again.now, 0), SPAWN + 4_500 + skew, again)
      const read = ingested(seen, claims(now - 200 + skew), again)
      assert.strictEqual(verdict(read, limit - 5 * SECOND_MS), "Ok")
      assert.strictEqual(verdict(read, limit + 1), "KillClaim")
    })
  }

  it("of an hour, seen half a minute late, makes no silence longer and no claim older than the life", () => {
    const now = SPAWN + 30 * SECOND_MS
    const beating = observe(born(), now - 100 - HOUR_MS, at(now, SPAWN))
    assert.strictEqual(beating.heartbeatAt, now)
    const claimed = ingested(born(), claims(now - 100 - HOUR_MS), at(now, SPAWN))
    const verdict = (when: number) => decideStuckAction(livenessOf(claimed), when, defaultPolicy)._tag
    assert.strictEqual(verdict(now + defaultPolicy.claimToleranceMs - SECOND_MS), "Ok")
    assert.strictEqual(verdict(now + defaultPolicy.claimToleranceMs + 1), "KillClaim")
  })

  it("is none where a look came late, and is not told from what may be old", () => {
    const late = observe(born(), SPAWN + 1_000, at(SPAWN + 10 * MINUTE_MS, SPAWN + 500))
    assert.strictEqual(skewMs(late.fileSkew), 0)
    const first = adopted(anIncarnation({ spawnedAt: SPAWN }), SPAWN + HOUR_MS, 0)
    const read = ingested(first, claims(SPAWN + 1_000), at(SPAWN + HOUR_MS))
    assert.strictEqual(skewMs(read.rowSkew), 0)
    const seen = observe(blinded(born(), SPAWN + 1), SPAWN + 2, at(SPAWN + HOUR_MS, SPAWN + HOUR_MS - 10))
    assert.strictEqual(skewMs(seen.fileSkew), 0)
  })

  it("is measured by whoever reads first, because nothing in a life's files is older than its spawn", () => {
    const now = SPAWN + 26 * SECOND_MS
    const first = adopted(anIncarnation({ spawnedAt: SPAWN, activeAt: SPAWN }), now, 0)
    const read = ingested(first, claims(SPAWN + 100 - HOUR_MS), at(now, null))
    const verdict = (when: number) => decideStuckAction(livenessOf(read), when, defaultPolicy)._tag
    assert.strictEqual(verdict(now), "Ok")
    assert.strictEqual(verdict(now + defaultPolicy.claimToleranceMs + 1), "KillClaim")
    const beaten = observe(first, SPAWN + 100 - HOUR_MS, at(now, null))
    assert.isAtLeast(beaten.heartbeatAt ?? 0, SPAWN)
  })

  it("that a lie made large takes no claim for older than the look that did not see it", () => {
    const lied = ingested(born(), claims(SPAWN + HOUR_MS), at(SPAWN + 2_000))
    const now = SPAWN + 10 * MINUTE_MS
    const reading = {
      acks: [{ ...claims(now - 100).acks[0]!, messageId: "m2" }],
      tool: null,
      newestAt: now - 100,
    }
    const moment = at(now)
    const [ack] = inHostTime(measured(lied, reading, moment), reading, moment).acks
    assert.isAtLeast(ack?.changedAt ?? 0, now - SECOND_MS)
    const [claim] = livenessOf(ingested(lied, reading, moment)).claims
    assert.isAtLeast(claim?.claimedAt ?? 0, now - SECOND_MS)
  })

  it("translates a reading, and leaves one alone where the clocks agree", () => {
    const reading = claims(SPAWN - HOUR_MS + 400)
    assert.strictEqual(inHostTime(born(), reading), reading)
    const life = measured(born(), reading, at(SPAWN + 500, SPAWN))
    const [ack] = inHostTime(life, reading).acks
    assert.isAtMost(Math.abs((ack?.changedAt ?? 0) - (SPAWN + 400)), 2 * SECOND_MS)
  })

  it("is measured for files and rows apart: a beat before the claim does not answer it because another clock stamped it", () => {
    const now = SPAWN + 20 * SECOND_MS
    const beat = observe(born(), now - 10 * SECOND_MS, at(now - 9_500))
    const life = ingested(beat, claims(now - 5 * MINUTE_MS - 100), at(now))
    assert.isFalse(life.claims[0]?.answered)
    assert.isTrue(observe(life, now + 5_000, at(now + 5_500)).claims[0]?.answered)
  })
})

describe("a claim", () => {
  it("that a beat has answered stays answered when the clock is set back", () => {
    const claimed = ingested(born(), claims(SPAWN + 1_000), at(SPAWN + 1_100))
    const beaten = observe(claimed, SPAWN + 1_500, at(SPAWN + 2_000))
    assert.isTrue(beaten.claims[0]?.answered)
    const back = clockJumped(beaten, SPAWN - HOUR_MS)
    assert.isTrue(back._tag === "Running" && back.claims[0]?.answered)
  })

  it("that goes and comes back is as old as it was", () => {
    const claimed = ingested(born(), claims(null), at(SPAWN + 1_000))
    const gone = ingested(claimed, { acks: [], tool: null, newestAt: null }, at(SPAWN + 2_000))
    const again = ingested(gone, claims(null), at(SPAWN + 9_000))
    assert.strictEqual(again.claims[0]?.firstSeenAt, SPAWN + 1_000)
  })
})

describe("every life", () => {
  const instant = Schema.Int.check(Schema.isBetween({ minimum: SPAWN - HOUR_MS, maximum: SPAWN + HOUR_MS }))
  const steps = Schema.Array(
    Schema.Struct({
      what: Schema.Literals([
        "beat",
        "claim",
        "blind",
        "work",
        "rest",
        "stop",
        "signal",
        "kill",
        "jump",
        "back",
      ]),
      now: instant,
      stamp: instant,
    }),
  ).check(Schema.isMaxLength(12))

  const step = (life: Live, what: string, now: number, stamp: number): Live => {
    const settledLife = settled(life, now) as Live
    switch (what) {
      case "beat":
        return observe(settledLife, stamp, at(now))
      case "claim":
        return ingested(settledLife, claims(stamp), at(now))
      case "blind":
        return blinded(settledLife, now)
      case "work":
      case "rest":
        return supplied(settledLife, { work: what === "work" ? "due" : "nothing", activeAt: stamp }, now)
      case "stop":
        return stopped(settledLife)
      case "signal":
        return signalled(stopped(settledLife), now)
      case "kill":
        return killed(stopped(settledLife), now)
      case "jump":
        return clockJumped(settledLife, now) as Live
      default:
        return settledLife
    }
  }

  it.prop(
    "holds nothing that the host observed in its future, and is the same again when it is settled twice",
    { steps },
    (drawn) => {
      let life: Live = born()
      for (const { now, stamp, what } of drawn.steps) {
        life = step(life, what, now, stamp)
        const observed = [
          life.spawnedAt,
          life.heartbeatAt,
          life.activeAt,
          life.workDueSince,
          life.blindSince,
          ...(life._tag === "Stopping"
            ? [life.askedAt, life.signalledAt, life.kill?.since, life.kill?.at]
            : []),
          ...life.claims.map(({ firstSeenAt }) => firstSeenAt),
        ]
        for (const moment of observed) assert.isAtMost(moment ?? 0, now)
        assert.deepStrictEqual(settled(settled(life, now), now), settled(life, now))
      }
    },
  )

  it.prop("never un-answers a claim, never starts again, and is dead for good", { steps }, (drawn) => {
    let life: Live = born()
    for (const { now, stamp, what } of drawn.steps) {
      const before = new Map(life.claims.map((claim) => [claim.changedAt, claim.answered]))
      const wasStopping = life._tag === "Stopping"
      life = step(life, what, now, stamp)
      if (wasStopping) assert.strictEqual(life._tag, "Stopping")
      for (const claim of life.claims) {
        if (before.get(claim.changedAt) === true) assert.isTrue(claim.answered)
      }
    }
    const dead: Life = exited(life, exit)
    assert.strictEqual(exited(dead, { ...exit, exitCode: 9 }), dead)
  })

  it("counts the failures of its last reading from the first one", () => {
    const dead = exited(born(), exit)
    assert.strictEqual(unread(unread(dead, SPAWN + 5), SPAWN + 9).failedSince, SPAWN + 5)
  })
})
