/**
 * Many seeded worlds in a row: what struck, what failed, and for a failure the smallest plan that still fails.
 */
import { DAY_MS } from "../domain/Instant.ts"
import { describeFault, type Fault, FAULT_KINDS, planFaults } from "./FaultPlan.ts"
import type { Violation } from "./GroundTruth.ts"
import { seededRandom } from "./SeededRandom.ts"
import { SERIES_SIGHTS } from "./SeriesWatch.ts"
import { type Outcome, runWorld, type WorldOptions } from "./World.ts"
import { planWorld } from "./WorldShape.ts"

export type WorldPlan = Pick<WorldOptions, "seed" | "shape" | "faults" | "misleading">

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

export interface Campaign extends Pick<
  Outcome,
  "messages" | "commits" | "crashPoints" | "struck" | "sights"
> {
  readonly worlds: number
  /** Simulated days, quiet phases included. */
  readonly days: number
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
  const worlds: Array<Campaign> = []
  let failed = 0
  for (const seed of options.seeds) {
    const plan = planOf(seed, options.days)
    const outcome = runPlan(plan)
    const { commits, crashPoints, elapsedMs, messages, sights, struck, violation } = outcome
    options.onWorld?.(seed, outcome)
    const failures = violation === null ? [] : [failureOf(plan, violation)]
    const days = elapsedMs / DAY_MS
    worlds.push({ worlds: 1, days, messages, commits, crashPoints, struck, sights, failures })
    failed += failures.length
    if (failed >= options.maxFailures) break
  }
  return together(worlds)
}

const failureOf = (plan: WorldPlan, violation: Violation): Failure => {
  const smallest = shrink(plan, violation)
  return { plan, violation, smallest, trace: runPlan(smallest).trace.lines.slice(-60) }
}

/** Several campaigns as one. */
export const together = (parts: ReadonlyArray<Campaign>): Campaign => {
  const total = (of: (part: Campaign) => number): number => parts.reduce((sum, part) => sum + of(part), 0)
  const tally = <K>(of: (part: Campaign) => ReadonlyMap<K, number>): ReadonlyMap<K, number> => {
    const sums = new Map<K, number>()
    for (const [key, count] of parts.flatMap((part) => [...of(part)]))
      sums.set(key, (sums.get(key) ?? 0) + count)
    return sums
  }
  return {
    worlds: total(({ worlds }) => worlds),
    days: total(({ days }) => days),
    messages: total(({ messages }) => messages),
    commits: total(({ commits }) => commits),
    crashPoints: total(({ crashPoints }) => crashPoints),
    struck: tally(({ struck }) => struck),
    sights: tally(({ sights }) => sights),
    failures: parts.flatMap(({ failures }) => failures),
  }
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
