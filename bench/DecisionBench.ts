/** Pure decisions per second, on one core. */
import { MessageId } from "../src/domain/Ids.ts"
import { defaultPolicy } from "../src/domain/Policy.ts"
import { nextSlot } from "../src/domain/Recurrence.ts"
import { decideRetry } from "../src/domain/Retry.ts"
import type { Schedule } from "../src/domain/Series.ts"
import { decideStuckAction, type Liveness } from "../src/domain/StuckAction.ts"
import { type Bench, median, ms, perSecond, type Row, target, timed } from "./Measure.ts"

const ROUNDS = 5

/** Keeps the compiler from seeing that a result is not used. */
let sink = 0

const rate = async (count: number, decide: (n: number) => number): Promise<number> => {
  const rounds: Array<number> = []
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push(
      await timed(() => {
        for (let n = 0; n < count; n++) sink += decide(n)
      }),
    )
  }
  return median(rounds)
}

const start = 1_800_000_000_000
const liveness: Liveness = {
  spawnedAt: start,
  ageOrigin: 0,
  heartbeatAt: start + 5_000,
  claims: [
    {
      messageId: MessageId.make("m1"),
      claimedAt: start + 4_000,
      precision: "ms",
      firstSeenAt: start + 4_001,
    },
  ],
  anyAck: true,
  workDueSince: null,
  tool: { tool: "Bash", declaredTimeoutMs: 60_000, startedAt: start + 4_500 },
}

export const decisionBench: Bench = {
  name: "decisions",
  about: "pure decisions, epoch milliseconds in and out",
  run: async (size) => {
    const count = size === "smoke" ? 20_000 : 2_000_000
    const slots = size === "smoke" ? 200 : 5_000
    const stuck = await rate(
      count,
      (n) => decideStuckAction(liveness, start + (n % 100_000), defaultPolicy)._tag.length,
    )
    const message = { state: "claimed", tries: 1, dueAt: start, trigger: true, kind: "chat" } as const
    const retry = await rate(
      count,
      (n) =>
        decideRetry(
          message,
          { endedAt: null },
          { outcome: "failed", retryable: true, at: start + n },
          defaultPolicy,
          0.5,
        )._tag.length,
    )
    const cron: Schedule = { _tag: "Cron", expression: "0 9 * * 1-5", zone: "America/New_York" }
    const cronMs = await rate(slots, (n) => nextSlot(cron, start + n * 86_400_000) ?? 0)
    const interval: Schedule = { _tag: "Interval", everyMs: 300_000, anchor: start }
    const intervalMs = await rate(count, (n) => nextSlot(interval, start + n * 1_000) ?? 0)
    if (Number.isNaN(sink)) throw new Error("a decision was no number")
    return [
      {
        what: "decideStuckAction",
        figure: perSecond(count, stuck),
        target: target("≥ 10,000,000/s", (count / stuck) * 1000 >= 10_000_000),
      },
      { what: "decideRetry", figure: perSecond(count, retry) },
      { what: "next slot of a weekday cron in New York", figure: `${ms(cronMs / slots)} each` },
      { what: "next slot of an interval", figure: perSecond(count, intervalMs) },
    ] satisfies ReadonlyArray<Row>
  },
}
