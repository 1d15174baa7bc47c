/** Pure decisions per second, on one core, and what one `next` of a cron schedule costs. */
import { CronExpressionParser } from "cron-parser"
import { GroupId, MessageId } from "../src/domain/Ids.ts"
import { defaultPolicy } from "../src/domain/Policy.ts"
import { nextSlot } from "../src/domain/Recurrence.ts"
import { decideRetry } from "../src/domain/Attempt.ts"
import type { Schedule } from "../src/domain/Series.ts"
import { ingested, type Live, livenessOf, observe, started, starting } from "../src/domain/Life.ts"
import { decideStuckAction } from "../src/domain/StuckAction.ts"
import { planSweep, type SweepSnapshot } from "../src/domain/SweepPlan.ts"
import { planWakes, type WakeInput } from "../src/domain/WakeAdmission.ts"
import { sessionId } from "./Host.ts"
import { type Bench, perSecond, rate, repeat, type Row, timed, upTo } from "./Measure.ts"

const NOW = 1_800_000_000_000
const DAY_MS = 86_400_000
const GROUPS = 10
const group = (n: number) => GroupId.make(`g${n % GROUPS}`)

/** It claimed a message, beat after that, and has a tool in flight. */
const lifeOf = (n: number): Live => {
  const moment = (now: number) => ({ now, before: now - 1_000 })
  const row = { sessionId: sessionId(n), groupId: group(n), number: 1, spawnedAt: NOW }
  const messageId = MessageId.make("m1")
  const claim = {
    acks: [{ messageId, status: "processing", changedAt: NOW + 4_000, precision: "ms" } as const],
    tool: { tool: "Bash", declaredTimeoutMs: 60_000, startedAt: NOW + 4_500 },
    newestAt: NOW + 4_500,
  }
  const claimed = ingested(started(starting(row, NOW, 0)), claim, moment(NOW + 4_600))
  return observe(claimed, NOW + 5_000, moment(NOW + 5_000))
}

const liveness = livenessOf(lifeOf(0))

const wakesOf = (count: number): WakeInput => ({
  candidates: upTo(count).map((n) => ({
    sessionId: sessionId(n),
    groupId: group(n),
    priority: n % 3,
    wakeAt: NOW - ((n * 7_919) % 100_000),
    maxContainersPerGroup: 10,
  })),
  liveTotal: 0,
  liveByGroup: new Map(),
  maxContainers: 100_000,
  startsLeft: 100_000,
  breaker: "closed",
})

const snapshotOf = (count: number): SweepSnapshot => ({
  live: upTo(count).map((n) => ({
    life: lifeOf(n),
    due: "nothing" as const,
    needsFresh: false,
    policy: defaultPolicy,
  })),
  wakes: wakesOf(0),
  knownNextAt: NOW + 60_000,
})

const CRONS: ReadonlyArray<readonly [name: string, expression: string, zone: string]> = [
  ["every 5 minutes, UTC", "*/5 * * * *", "UTC"],
  ["weekdays at nine, New York", "0 9 * * 1-5", "America/New_York"],
  ["last day of the month, Lord Howe", "15 2 L * *", "Australia/Lord_Howe"],
  ["29 February, Paris", "0 12 29 2 *", "Europe/Paris"],
]

const cronRow = (count: number, [name, expression, zone]: (typeof CRONS)[number]): Row => {
  const schedule: Schedule = { _tag: "Cron", expression, zone }
  const from = (n: number) => NOW + (n % 5_000) * DAY_MS
  const oursMs = repeat(count, (n) => nextSlot(schedule, from(n)) ?? 0) / count
  const fewer = Math.ceil(count / 50)
  const theirsMs =
    repeat(fewer, (n) =>
      CronExpressionParser.parse(expression, { tz: zone, currentDate: from(n) })
        .next()
        .getTime(),
    ) / fewer
  return timed(`next: ${name}`, oursMs, undefined, { under: ["cron-parser", theirsMs] })
}

const thousands = (what: string, plans: number, tookMs: number, whom: string): Row => ({
  ...rate(what, plans, tookMs),
  beside: `${perSecond(plans * 1_000, tookMs)} ${whom}`,
})

export const decisionBench: Bench = {
  name: "decisions",
  about:
    "pure decisions, epoch milliseconds in and out; the next slot after an instant on a different day each time",
  run: async (size) => {
    const count = size === "smoke" ? 100_000 : 2_000_000
    const stuckMs = repeat(
      count,
      (n) => decideStuckAction(liveness, NOW + (n % 100_000), defaultPolicy)._tag.length,
    )
    const message = { state: "claimed", tries: 1, dueAt: NOW, trigger: true, kind: "chat" } as const
    const retryMs = repeat(count, (n) => {
      const outcome = { outcome: "failed", retryable: true, at: NOW + n } as const
      return decideRetry(message, { endedAt: null }, outcome, defaultPolicy, 0.5)._tag.length
    })
    const plans = Math.ceil(count / 10_000)
    const running = snapshotOf(1_000)
    const sweepMs = repeat(plans, (n) => planSweep(running, NOW + 6_000 + n).actions.length)
    const due = wakesOf(1_000)
    const wakesMs = repeat(plans, () => planWakes(due).admit.length)
    const slots = Math.ceil(count / 20)
    const interval: Schedule = { _tag: "Interval", everyMs: 300_000, anchor: NOW }
    const intervalMs = repeat(count, (n) => nextSlot(interval, NOW + n * 1_000) ?? 0) / count
    return [
      rate("decideStuckAction", count, stuckMs, 10_000_000),
      rate("decideRetry", count, retryMs),
      thousands("planSweep, 1,000 running", plans, sweepMs, "containers"),
      thousands("planWakes, 1,000 due", plans, wakesMs, "candidates"),
      timed("next: an interval", intervalMs),
      ...CRONS.map((cron) => cronRow(slots, cron)),
    ]
  },
}
