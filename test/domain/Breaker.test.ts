import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  type Breaker,
  breakerGate,
  closedBreaker,
  onProbeStarted,
  onRuntimeDown,
  onRuntimeUp,
  onSignOfLife,
  probeIntervalMs,
} from "../../src/domain/Breaker.ts"
import { type EpochMs, HOUR_MS, SECOND_MS } from "../../src/domain/Instant.ts"

const T: EpochMs = 1_800_000_000_000

const opened = (): Extract<Breaker, { _tag: "Open" }> => {
  const state = onRuntimeDown(closedBreaker, T)
  if (state._tag !== "Open") throw new Error("it did not open")
  return state
}

describe("the breaker", () => {
  it("lets everything pass until the runtime is down", () => {
    assert.strictEqual(breakerGate(closedBreaker, T), "closed")
    assert.strictEqual(breakerGate(opened(), T), "open")
  })

  it("lets one probe pass after a second, and nothing a millisecond before", () => {
    assert.strictEqual(breakerGate(opened(), T + 999), "open")
    assert.strictEqual(breakerGate(opened(), T + 1_000), "probe")
  })

  it("lets no second probe pass while the first is in flight, until that is lost for 30 seconds", () => {
    const probing = onProbeStarted(opened(), T + 1_000)
    assert.strictEqual(breakerGate(probing, T + 1_000), "open")
    assert.strictEqual(breakerGate(probing, T + 30_999), "open")
    assert.strictEqual(breakerGate(probing, T + 31_000), "probe")
  })

  it("lets the next probe pass at a sign of life, but no second one and nothing else", () => {
    const waiting = onRuntimeDown(onProbeStarted(opened(), T + 1_000), T + 1_500)
    assert.strictEqual(breakerGate(waiting, T + 1_600), "open")
    assert.strictEqual(breakerGate(onSignOfLife(waiting, T + 1_600), T + 1_600), "probe")
    const probing = onProbeStarted(opened(), T + 1_000)
    assert.strictEqual(breakerGate(onSignOfLife(probing, T + 1_600), T + 1_600), "open")
    assert.deepStrictEqual(onSignOfLife(closedBreaker, T), closedBreaker)
  })

  it("waits longer after each failed probe, up to 30 seconds", () => {
    let state: Breaker = opened()
    let now = T
    const waits: Array<number> = []
    for (let probe = 0; probe < 7; probe++) {
      if (state._tag !== "Open") throw new Error("it closed")
      waits.push((state.probeAt - now) / SECOND_MS)
      now = state.probeAt
      state = onRuntimeDown(onProbeStarted(state, now), now)
    }
    assert.deepStrictEqual(waits, [1, 2, 4, 8, 16, 30, 30])
    assert.strictEqual(probeIntervalMs(1_000_000), 30 * SECOND_MS)
  })

  it("counts starts that were under way when it opened as the same failure, not as failed probes", () => {
    const first = opened()
    let state: Breaker = first
    for (let straggler = 0; straggler < 50; straggler++) state = onRuntimeDown(state, T + straggler)
    assert.deepStrictEqual(state, first)
    assert.deepInclude(onRuntimeDown(state, T + 1_000), { failures: 2, since: T })
  })

  it("closes as soon as the runtime answers", () => {
    assert.deepStrictEqual(onRuntimeUp(), closedBreaker)
    assert.deepStrictEqual(onProbeStarted(closedBreaker, T), closedBreaker)
  })

  it("probes at once when the clock was set back, instead of waiting for the old time", () => {
    const back = T - HOUR_MS
    assert.strictEqual(breakerGate(opened(), back), "probe")
    assert.strictEqual(breakerGate(onProbeStarted(opened(), back), back), "open")
    assert.deepInclude(onRuntimeDown(opened(), back), { failures: 2, probeAt: back + 2_000 })
  })

  it.prop(
    "never keeps the host from probing for more than 30 seconds",
    {
      events: Schema.Array(
        Schema.Struct({
          what: Schema.Literals(["down", "probe", "up"]),
          passedMs: Schema.Int.check(Schema.isBetween({ minimum: -100_000, maximum: 100_000 })),
        }),
      ).check(Schema.isMaxLength(20)),
    },
    ({ events }) => {
      let state: Breaker = closedBreaker
      let now = T
      for (const { what, passedMs } of events) {
        now += passedMs
        if (what === "down") state = onRuntimeDown(state, now)
        if (what === "probe" && breakerGate(state, now) === "probe") state = onProbeStarted(state, now)
        if (what === "up") state = onRuntimeUp()
        assert.notStrictEqual(breakerGate(state, now + 30 * SECOND_MS), "open")
        if (what === "down") assert.notStrictEqual(breakerGate(state, now), "closed")
      }
    },
  )
})
