/**
 * `npm run bench [-- names] [--smoke]`: every speed claim as a figure, beside what it is compared with. Informational: the exit code
 * says only whether everything ran. Compare ratios of one run, never absolute times of two.
 */
import { cpus } from "node:os"
import { acceptBench } from "./AcceptBench.ts"
import { decisionBench } from "./DecisionBench.ts"
import { exchangeBench } from "./ExchangeBench.ts"
import { type Bench, print } from "./Measure.ts"
import { simulationBench } from "./SimulationBench.ts"
import { sweepBench } from "./SweepBench.ts"
import { wakeBench } from "./WakeBench.ts"

const benches: ReadonlyArray<Bench> = [
  sweepBench,
  wakeBench,
  acceptBench,
  exchangeBench,
  decisionBench,
  simulationBench,
]

const words = process.argv.slice(2)
const size = words.includes("--smoke") ? "smoke" : "full"
const names = words.filter((word) => !word.startsWith("--"))
const unknown = names.filter((name) => !benches.some((bench) => bench.name === name))

if (words.includes("--help") || unknown.length > 0) {
  for (const name of unknown) process.stderr.write(`there is no measure '${name}'\n`)
  process.stdout.write(
    `bench [--smoke] [name…]\n${benches.map(({ about, name }) => `  ${name}: ${about}\n`).join("")}`,
  )
  process.exitCode = unknown.length > 0 ? 1 : 0
} else {
  process.stdout.write(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${size} sizes\n`,
  )
  for (const bench of benches) {
    if (names.length === 0 || names.includes(bench.name)) print(bench, await bench.run(size))
  }
}
