/**
 * Long campaigns of seeded worlds, and the replay of one. `npm run simulate -- --seeds 2000 --days 1 --jobs 2` runs two thousand worlds
 * of a day each on two processors; `--seed X --keep 3,7 --trace` runs one world with two of its faults and prints what happened.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { describeFault } from "../src/testing/FaultPlan.ts"
import {
  type Campaign,
  describeFailure,
  planOf,
  runCampaign,
  runPlan,
  together,
  unseen,
} from "../src/testing/Campaign.ts"

const HELP = `usage:
  npm run simulate -- [--seeds N] [--days D] [--name NAME] [--jobs J] [--failures F]
      N worlds (200) of D simulated days each (1); their seeds are NAME-0, NAME-1, ... (world);
      on J processors (1); stops after F failures (3). Fails when a world fails, or when a kind of fault never struck.
  npm run simulate -- --seed SEED [--days D] [--keep none|3,7,...] [--trace]
      one world, with all of its faults or only those named; --trace prints what happened.
  npm run simulate -- --brief [--seeds N] [--name NAME]
      short worlds in which much goes wrong, until the first that fails; in one line, and without looking for the smallest plan.`

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    days: { type: "string", default: "1" },
    name: { type: "string", default: "world" },
    jobs: { type: "string", default: "1" },
    failures: { type: "string", default: "3" },
    seed: { type: "string" },
    keep: { type: "string" },
    trace: { type: "boolean", default: false },
    brief: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    share: { type: "string" },
  },
})

const whole = (name: "seeds" | "days" | "jobs" | "failures"): number => {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${name} takes a whole number above 0, not '${values[name]}'\n${HELP}`)
  process.exit(2)
}

const replay = (seed: string): number => {
  const plan = planOf(seed, whole("days"))
  const kept = values.keep
  const wanted = kept === undefined ? null : new Set(kept === "none" ? [] : kept.split(",").map(Number))
  const faults = plan.faults.filter(({ id }) => wanted === null || wanted.has(id))
  const outcome = runPlan({ ...plan, faults }, "all")
  if (values.trace) for (const line of outcome.trace.lines) console.log(line)
  for (const fault of faults) console.log(describeFault(fault))
  console.log(`trace ${outcome.trace.hash()}, ${outcome.trace.count} lines, ${outcome.commits} commits`)
  if (outcome.violation === null) {
    console.log("every invariant held")
    return 0
  }
  console.log(`invariant ${outcome.violation.invariant} broke: ${outcome.violation.message}`)
  return 1
}

const BRIEF_DAYS = 0.3
const BRIEF_INTENSITY = 4

const brief = (): number => {
  for (const seed of seedsOf(0, 1)) {
    const { violation } = runPlan(planOf(seed, BRIEF_DAYS, BRIEF_INTENSITY))
    if (violation === null) continue
    console.log(`${seed}: invariant ${violation.invariant} broke: ${violation.message}`)
    return 1
  }
  console.log("every invariant held")
  return 0
}

const seedsOf = (share: number, shares: number): ReadonlyArray<string> =>
  Array.from({ length: whole("seeds") }, (_, index) => `${values.name}-${index}`).filter(
    (_, index) => index % shares === share,
  )

const runShare = (share: number, shares: number, onWorld: () => void): Campaign =>
  runCampaign({
    seeds: seedsOf(share, shares),
    days: whole("days"),
    maxFailures: whole("failures"),
    onWorld,
  })

const inChild = (share: number, shares: number): Promise<Campaign> =>
  new Promise((resolve, reject) => {
    const child: ChildProcess = fork(
      fileURLToPath(import.meta.url),
      [...process.argv.slice(2), "--share", `${share}/${shares}`],
      { serialization: "advanced" },
    )
    child.once("message", (answer) => resolve(answer as Campaign))
    child.once("exit", (code) => reject(new Error(`a worker ended with code ${code} and no answer`)))
  })

const inWords = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([name, count]) => `${name} ${count}`)
    .join(", ")

const campaign = async (): Promise<number> => {
  const jobs = whole("jobs")
  const started = performance.now()
  let worlds = 0
  const progress = (): void => {
    worlds += 1
    if (worlds % 100 === 0) {
      const seconds = Math.round((performance.now() - started) / 1_000)
      console.log(`${worlds} worlds in ${seconds} s`)
    }
  }
  const shares =
    jobs === 1
      ? [runShare(0, 1, progress)]
      : await Promise.all(Array.from({ length: jobs }, (_, index) => inChild(index, jobs)))
  const seconds = (performance.now() - started) / 1_000
  const sum = together(shares)
  const { commits, crashPoints, days, failures, messages, sights, struck } = sum
  console.log(
    `${sum.worlds} worlds, ${days.toFixed(0)} simulated days ` +
      `(${(days / 365.25).toFixed(2)} years) in ${seconds.toFixed(0)} s: ${(days / seconds).toFixed(1)} days per second; ` +
      `${messages} messages, ${commits} commits, ${crashPoints} crash points passed`,
  )
  console.log(`faults that struck: ${inWords(struck)}`)
  console.log(`what became of slots: ${inWords(sights)}`)
  for (const failure of failures) {
    console.log(describeFailure(failure).join("\n"))
    for (const line of failure.trace) console.log(`    ${line}`)
  }
  const never = unseen(sum)
  if (never.length > 0) console.log(`these never happened: ${never.join(", ")}`)
  console.log(failures.length === 0 ? "every invariant held" : `${failures.length} worlds failed`)
  return failures.length > 0 || never.length > 0 ? 1 : 0
}

if (values.help) {
  console.log(HELP)
} else if (values.share !== undefined) {
  const [share, shares] = values.share.split("/").map(Number)
  process.send?.(runShare(share ?? 0, shares ?? 1, () => {}))
} else {
  process.exitCode = values.brief
    ? brief()
    : values.seed === undefined
      ? await campaign()
      : replay(values.seed)
}
