import { assert, describe, it } from "@effect/vitest"
import { defaultPolicy } from "../../src/domain/Policy.ts"
import { NthCall } from "../../src/testing/FailTheNth.ts"
import type { Fault } from "../../src/testing/FaultPlan.ts"
import { seededRandom } from "../../src/testing/SeededRandom.ts"
import { runWorld } from "../../src/testing/World.ts"
import { planWorld, type PlannedSend } from "../../src/testing/WorldShape.ts"
import { patience } from "../support/Patience.ts"

const send = (id: string, at: number): PlannedSend => ({
  id,
  at,
  session: 0,
  dueInMs: 0,
  ttlMs: null,
  trigger: true,
  onWake: false,
  priority: 1,
})

/** The main path: a message answered and delivered, a task, an agent that crashes, one that hangs, and a stop when idle. */
const shape = {
  ...planWorld(seededRandom("nth"), 1),
  days: 0.5 / 24,
  sessions: 1,
  groups: 1,
  stride: 2_000,
  policy: { ...defaultPolicy, idleMs: 30_000, ceilingMs: 300_000 },
  maxContainers: 20,
  runnerReoffers: true,
  pollIntervalMs: 60_000,
  agentPollMs: 15_000,
  sweepIntervalMs: 600_000,
  sends: [send("m0", 1_000), send("m1", 8 * 60_000), send("m2", 16 * 60_000)],
  tasks: [{ at: 2_000, id: "t0", session: 0, schedule: "every 1h" }],
}

const agentFault = (id: number, kind: Fault["kind"], at: number): Fault => ({
  id,
  kind,
  at,
  session: 0,
  ms: 1_000,
  nth: 1,
})
const faults = [agentFault(0, "agent-crash", 7 * 60_000), agentFault(1, "agent-deaf", 15 * 60_000)]

describe("fail the Nth", () => {
  it(
    "every operation of the contracts fails once, and nothing that was accepted is lost",
    { timeout: patience(400_000) },
    () => {
      const failed = new Map<string, number>()
      for (let n = 1; ; n++) {
        const nth = new NthCall(n)
        const outcome = runWorld({ seed: "nth", shape, faults, nth, trace: "all" })
        if (nth.failed === null) break
        failed.set(nth.failed, (failed.get(nth.failed) ?? 0) + 1)
        const { violation } = outcome
        assert.isNull(violation, `call ${n}, ${nth.failed}, failed: ${violation?.message}`)
        for (const { id } of shape.sends) {
          assert.isTrue(
            outcome.trace.lines.some((line) => line.includes(`send ${id}: Success`)),
            `call ${n}, ${nth.failed}, failed, and ${id} was never acknowledged`,
          )
        }
      }
      for (const operation of [
        "ledger.transaction",
        "ledger.read",
        "mailbox.create",
        "mailbox.project",
        "mailbox.glance",
        "mailbox.read",
        "mailbox.removeBelow",
        "workspace.prepareGroup",
        "workspace.writeSessionLists",
        "workspace.writeExitLog",
        "runtime.start",
        "runtime.stop",
        "runtime.kill",
        "runtime.list",
        "runtime.output",
        "runtime.remove",
        "channel.send",
      ]) {
        assert.isAbove(failed.get(operation) ?? 0, 0, `${operation} was never made to fail`)
      }
      const runs = [...failed.values()].reduce((sum, count) => sum + count, 0)
      assert.isAbove(runs, 200)
      console.log(`fail the Nth: ${runs} runs, ${failed.size} operations`)
    },
  )
})
