/**
 * `npm run bench [-- names] [--smoke] [--log]`: every speed claim as a figure, beside what it is compared with. Informational: the exit
 * code says only whether everything ran. Compare ratios of one run, never absolute times of two. `--log` shows what the hosts log.
 */
import { cpus } from "node:os"
import { acceptBench } from "./AcceptBench.ts"
import { ackBench } from "./AckBench.ts"
import { commandBench } from "./CommandBench.ts"
import { dockerBench, dockerMissing } from "./DockerBench.ts"
import { decisionBench } from "./DecisionBench.ts"
import { hostileBench } from "./HostileBench.ts"
import { inboundBench } from "./InboundBench.ts"
import { type Bench, ms, print, stopwatch } from "./Measure.ts"
import { seriesBench } from "./SeriesBench.ts"
import { simulationBench } from "./SimulationBench.ts"
import { startBench } from "./StartBench.ts"
import { sweepBench } from "./SweepBench.ts"
import { wakeBench } from "./WakeBench.ts"

const benches: ReadonlyArray<Bench> = [
  sweepBench,
  wakeBench,
  startBench,
  acceptBench,
  inboundBench,
  ackBench,
  decisionBench,
  simulationBench,
  seriesBench,
  commandBench,
  dockerBench,
  hostileBench,
]

const OPTIONS = ["--smoke", "--log", "--help"]
const words = process.argv.slice(2)
const size = words.includes("--smoke") ? "smoke" : "full"
const names = words.filter((word) => !OPTIONS.includes(word))
const unknown = names.filter((name) => !benches.some((bench) => bench.name === name))

if (words.includes("--help") || unknown.length > 0) {
  for (const word of unknown) process.stderr.write(`there is no measure and no option '${word}'\n`)
  process.stdout.write(
    `bench [--smoke] [--log] [name…]\n${benches.map(({ about, name }) => `  ${name}: ${about}\n`).join("")}`,
  )
  process.exitCode = unknown.length > 0 ? 1 : 0
} else {
  const read = stopwatch()
  process.stdout.write(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${size} sizes\n`,
  )
  for (const bench of benches) {
    if (names.length > 0 && !names.includes(bench.name)) continue
    const missing = bench === dockerBench ? dockerMissing() : null
    if (missing === null) print(bench, await bench.run(size))
    else process.stdout.write(`\n${bench.name}: left out: ${missing}\n`)
  }
  process.stdout.write(`\n${ms(read())} in all\n`)
}
