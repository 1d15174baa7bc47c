import { assert, describe, it } from "@effect/vitest"
import type { Fault } from "../../src/testing/FaultPlan.ts"
import { seededRandom } from "../../src/testing/SeededRandom.ts"
import { runWorld } from "../../src/testing/World.ts"
import { planWorld, type PlannedSend, type WorldShape } from "../../src/testing/WorldShape.ts"
import { defaultPolicy } from "../../src/domain/Policy.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const send = (id: string, at: number, session = 0): PlannedSend => ({
  id,
  at,
  session,
  dueInMs: 0,
  ttlMs: null,
  trigger: true,
  onWake: false,
  priority: 1,
})

const fault = (kind: Fault["kind"], at: number, ms: number, nth = 1): Omit<Fault, "id"> => ({
  kind,
  at,
  ms,
  nth,
  session: 0,
})

/** A small world that a few lines describe. */
const small = (faults: ReadonlyArray<Omit<Fault, "id">>, change: Partial<WorldShape> = {}, seed = "small") =>
  runWorld({
    seed,
    shape: {
      ...planWorld(seededRandom("small"), 1),
      days: 0.25,
      sessions: 1,
      groups: 1,
      stride: 100,
      policy: { ...defaultPolicy, ceilingMs: 5 * MINUTE, idleMs: 2 * MINUTE },
      maxContainers: 20,
      runnerReoffers: true,
      pollIntervalMs: 10_000,
      sweepIntervalMs: 5 * MINUTE,
      tasks: [],
      sends: [send("m0", 1_000)],
      ...change,
    },
    faults: faults.map((one, id) => ({ id, ...one })),
    trace: "all",
  })

/** Each of these found a bug once; the seed and plan that did were shrunk to what stands here. */
describe("what the simulation has found", () => {
  it("a SIGKILL that the engine did not hear is repeated", () => {
    const outcome = small([fault("agent-deaf", 0, 1), fault("engine-down", 5 * MINUTE + 5_000, 10 * MINUTE)])
    assert.isNull(outcome.violation, outcome.violation?.message)
    const kills = outcome.trace.lines.filter((line) => line.includes("SIGKILL to s0/1"))
    assert.isAbove(kills.length, 1)
  })

  it("a ledger that refuses to write until it is opened again ends the daemon, and another one goes on", () => {
    const outcome = small([fault("commit-uncertain", 30 * MINUTE, 5 * MINUTE)], {
      sends: [send("m0", 30 * MINUTE + 1)],
    })
    assert.isNull(outcome.violation, outcome.violation?.message)
    assert.isTrue(outcome.trace.lines.some((line) => line.includes("daemon 2 starts")))
    assert.isTrue(outcome.trace.lines.some((line) => line.includes("send m0: Success")))
  })

  it("a clock that jumps forward kills nobody who has just shown progress", () => {
    const outcome = small([
      fault("agent-slow", 0, 40 * MINUTE),
      fault("clock-forward", 10 * MINUTE, 3 * HOUR),
    ])
    assert.isNull(outcome.violation, outcome.violation?.message)
    assert.isFalse(outcome.trace.lines.some((line) => line.includes("to s0/1") && line < "0d 00:40"))
  })

  it("a clock that is set back leaves a silent container no second life", () => {
    for (const at of [2 * MINUTE, 5 * MINUTE + 5_000]) {
      const outcome = small([fault("agent-deaf", 0, 1), fault("clock-backward", at, 2 * HOUR)])
      assert.isNull(outcome.violation, `set back at ${at}: ${outcome.violation?.message}`)
      const killed = outcome.trace.lines.find((line) => line.includes("SIGKILL to s0/1")) ?? "never"
      assert.isTrue(killed < "0d 00:20", `set back at ${at}: ${killed}`)
    }
  })

  it("a clock that is set back kills nobody whose claim a heartbeat has answered", () => {
    const outcome = small([fault("agent-slow", 0, 20 * MINUTE), fault("clock-backward", 3 * MINUTE, HOUR)])
    assert.isNull(outcome.violation, outcome.violation?.message)
    assert.isFalse(outcome.trace.lines.some((line) => line.includes("to s0/1") && line < "0d 00:20"))
  })

  it("a clock that is set back between two looks does not turn a claim and its heartbeat around", () => {
    const outcome = small([fault("agent-deaf", 0, 1), fault("clock-backward", 40_000, 6 * MINUTE)], {
      pollIntervalMs: MINUTE,
    })
    assert.isNull(outcome.violation, outcome.violation?.message)
    assert.isTrue(outcome.trace.lines.some((line) => line.includes("SIGKILL to s0/1")))
  })

  it("a container that starts while the engine makes its list is not taken for dead", () => {
    const sends = Array.from({ length: 40 }, (_, index) =>
      send(`m${index}`, 40 * MINUTE + 7_900 * index, index % 8),
    )
    for (let seed = 0; seed < 4; seed++) {
      const outcome = small(
        [fault("engine-slow", 39 * MINUTE, 10 * MINUTE)],
        { sessions: 8, sends, policy: { ...defaultPolicy, idleMs: 1_000 } },
        `list-${seed}`,
      )
      assert.isNull(outcome.violation, outcome.violation?.message)
    }
  })

  it("a crash between the end of an agent and its last reading costs it nothing", () => {
    for (let nth = 1; nth <= 30; nth++) {
      const outcome = small([
        fault("agent-silent-tool", 0, 4 * MINUTE),
        fault("daemon-crash", MINUTE, 5 * MINUTE, nth),
      ])
      assert.isNull(outcome.violation, `crash at point ${nth}: ${outcome.violation?.message}`)
    }
  })

  it("a clock that jumps forward makes no run too long", () => {
    const outcome = small([fault("clock-forward", 33 * MINUTE, 3 * HOUR)], {
      sends: [],
      tasks: [
        {
          at: 0,
          id: "t0",
          session: 0,
          schedule: "every 30m",
          settings: { policy: { startToCloseMs: 8 * MINUTE } },
          run: { workMs: 6 * MINUTE, ends: "well" },
        },
      ],
    })
    assert.isNull(outcome.violation, outcome.violation?.message)
    assert.isUndefined(outcome.sights.get("run-too-long"))
  })

  it("a clock that jumps during one attempt does not make the next one too long", () => {
    const outcome = small(
      [fault("agent-hang", 29 * MINUTE, 1), fault("clock-forward", 31 * MINUTE, 3 * HOUR)],
      {
        sends: [],
        tasks: [
          {
            at: 0,
            id: "t0",
            session: 0,
            schedule: "every 30m",
            settings: { policy: { startToCloseMs: 12 * MINUTE } },
            run: { workMs: 6 * MINUTE, ends: "well" },
          },
        ],
      },
    )
    assert.isNull(outcome.violation, outcome.violation?.message)
    assert.isUndefined(outcome.sights.get("run-too-long"))
  })

  it("a crash before SIGTERM was sent takes no container its grace", () => {
    let signals = 0
    for (let nth = 1; nth <= 22; nth++) {
      const outcome = small([fault("agent-deaf", 0, 1), fault("daemon-crash", 5 * MINUTE, MINUTE, nth)])
      assert.isNull(outcome.violation, `crash at point ${nth}: ${outcome.violation?.message}`)
      if (outcome.trace.lines.some((line) => line.includes("daemon killed at runtime.stop.before")))
        signals += 1
    }
    assert.isAbove(signals, 0, "no crash came before a SIGTERM")
  })
})
