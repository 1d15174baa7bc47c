/**
 * Many seeded worlds in a row: what struck, what failed, and for a failure the smallest plan that still fails.
 */
import { DAY_MS } from "../domain/Instant.ts"
import type { Policy } from "../domain/Policy.ts"
import { describeFault, type Fault, FAULT_KINDS, type FaultKind, planFaults } from "./FaultPlan.ts"
import { seededRandom } from "./SeededRandom.ts"
import { SERIES_SIGHTS, type SeriesSight } from "./SeriesWatch.ts"
import type { Violation } from "./Violation.ts"
import { type Outcome, runWorld } from "./World.ts"
import { planWorld, type WorldShape } from "./WorldShape.ts"

export interface WorldPlan {
  readonly seed: string
  readonly shape: WorldShape
  readonly faults: ReadonlyArray<Fault>
  readonly misleading?: Partial<Policy>
}

/** Faults on an average day. */
const FAULTS_PER_DAY = 18

/** Everything that a seed decides. `intensity`: how many times as much is sent and goes wrong as on an average day. */
export const planOf = (seed: string, days: number, intensity = 1): WorldPlan => {
  const random = seededRandom(seed)
  const shape = planWorld(random.fork("shape"), days, intensity)
  const faults = planFaults(random.fork("faults"), {
    days,
    sessions: shape.sessions,
    perDay: FAULTS_PER_DAY * intensity,
  })
  return { seed, shape, faults }
}

export const runPlan = (plan: WorldPlan, trace: "all" | "last" = "last"): Outcome =>
  runWorld({ ...plan, trace })

export interface Failure {
  readonly plan: WorldPlan
  readonly violation: Violation
  /** The plan with every fault left out that the failure does not need. */
  readonly smallest: WorldPlan
  /** The last lines of the smallest run. */
  readonly trace: ReadonlyArray<string>
}

export interface Campaign {
  readonly worlds: number
  /** Simulated days, quiet phases included. */
  readonly days: number
  readonly messages: number
  readonly commits: number
  readonly crashPoints: number
  readonly struck: ReadonlyMap<FaultKind | "clock-change", number>
  /** How often each thing happened that can become of a task's slots. */
  readonly sights: ReadonlyMap<SeriesSight, number>
  readonly failures: ReadonlyArray<Failure>
}

export interface CampaignOptions {
  readonly seeds: ReadonlyArray<string>
  readonly days: number
  /** Stops after this many failures. */
  readonly maxFailures: number
  readonly onWorld?: (seed: string, outcome: Outcome) => void
}

export const runCampaign = (options: CampaignOptions): Campaign => {
  const struck = new Map<FaultKind | "clock-change", number>()
  const sights = new Map<SeriesSight, number>()
  const failures: Array<Failure> = []
  const sum = { worlds: 0, elapsedMs: 0, messages: 0, commits: 0, crashPoints: 0 }
  for (const seed of options.seeds) {
    const plan = planOf(seed, options.days)
    const outcome = runPlan(plan)
    sum.worlds += 1
    sum.elapsedMs += outcome.elapsedMs
    sum.messages += outcome.messages
    sum.commits += outcome.commits
    sum.crashPoints += outcome.crashPoints
    for (const [kind, count] of outcome.struck) struck.set(kind, (struck.get(kind) ?? 0) + count)
    for (const [sight, count] of outcome.sights) sights.set(sight, (sights.get(sight) ?? 0) + count)
    options.onWorld?.(seed, outcome)
    if (outcome.violation !== null) {
      const smallest = shrink(plan, outcome.violation)
      failures.push({
        plan,
        violation: outcome.violation,
        smallest,
        trace: runPlan(smallest).trace.lines.slice(-60),
      })
      if (failures.length >= options.maxFailures) break
    }
  }
  return { ...sum, days: sum.elapsedMs / DAY_MS, struck, sights, failures }
}

/** Faults that never struck, and policies that were never put to the test, in a whole campaign: it can't be trusted about them. */
export const unseen = (campaign: Pick<Campaign, "struck" | "sights">): ReadonlyArray<string> => [
  ...[...FAULT_KINDS, "clock-change" as const].filter((kind) => (campaign.struck.get(kind) ?? 0) === 0),
  ...SERIES_SIGHTS.filter((sight) => (campaign.sights.get(sight) ?? 0) === 0),
]

const SHRINK_RUNS = 200

/** Leaves out faults, many at a time and then one by one, for as long as the same invariant breaks. */
export const shrink = (plan: WorldPlan, violation: Violation): WorldPlan => {
  let faults = plan.faults.filter((fault) => fault.at <= violation.at)
  let runs = 0
  const fails = (kept: ReadonlyArray<Fault>): boolean =>
    runPlan({ ...plan, faults: kept }).violation?.invariant === violation.invariant
  for (let size = Math.ceil(faults.length / 2); size >= 1;) {
    let left = false
    for (let start = 0; start < faults.length && runs < SHRINK_RUNS;) {
      const kept = [...faults.slice(0, start), ...faults.slice(start + size)]
      runs += 1
      if (fails(kept)) {
        faults = kept
        left = true
      } else {
        start += size
      }
    }
    if (size === 1 && (!left || runs >= SHRINK_RUNS)) break
    size = Math.max(1, Math.floor(size / 2))
  }
  return { ...plan, faults }
}

/** What a person needs to see of a failure, and the command that replays it. */
export const describeFailure = (failure: Failure): ReadonlyArray<string> => {
  const { plan, smallest, violation } = failure
  const kept = smallest.faults.map(({ id }) => id).join(",")
  return [
    `seed ${plan.seed}: invariant ${violation.invariant} broke: ${violation.message}`,
    `the plan had ${plan.faults.length} faults; these are enough:`,
    ...smallest.faults.map((fault) => `  ${describeFault(fault)}`),
    "replay it with:",
    `  npm run simulate -- --seed ${plan.seed} --days ${plan.shape.days} --keep ${kept === "" ? "none" : kept} --trace`,
  ]
}
