/** What a command costs as the package ships it: processor time and memory with a warm compile cache, beside a bare Node. */
import { Effect } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as os from "node:os"
import * as path from "node:path"
import { inDirectory } from "./Host.ts"
import { type Bench, median, type Row, timed, upTo } from "./Measure.ts"

const root = path.resolve(import.meta.dirname, "..")
const program = path.join(root, "dist/program/main.js")
const MAX_MB = 80

const HOOK = `process.once("exit", () => {
  const { maxRSS, systemCPUTime, userCPUTime } = process.resourceUsage()
  process.stderr.write([(systemCPUTime + userCPUTime) / 1000, maxRSS / 1024].join(" "))
})`

const costs = (count: number, ...words: ReadonlyArray<string>) => {
  const hook = `data:text/javascript,${encodeURIComponent(HOOK)}`
  const script = `"$@" 2>&1 >"${os.devNull}"`
  const runs = upTo(count + 1).map(() => {
    const line = ["-c", script, "sh", process.execPath, "--import", hook, ...words]
    const [ms = NaN, mb = NaN] = execFileSync("sh", line, { encoding: "utf8" }).split(" ").map(Number)
    return { ms, mb }
  })
  // The first one fills the compile cache.
  const warm = runs.slice(1)
  return { ms: median(warm.map((run) => run.ms)), mb: median(warm.map((run) => run.mb)) }
}

const rowsOf = (what: string, limitMs: number, bare: number, cost: ReturnType<typeof costs>): Row[] => [
  timed(what, cost.ms, limitMs, { over: ["bare Node", bare] }),
  {
    what: `${what}, memory`,
    ours: `${Math.round(cost.mb)} MB`,
    target: [`≤ ${MAX_MB} MB`, cost.mb <= MAX_MB],
  },
]

export const commandBench: Bench = {
  name: "command",
  about: "processor time of a command of the built package, its compile cache warm",
  run: (size) =>
    inDirectory((dataDir) =>
      Effect.promise(async () => {
        const count = size === "smoke" ? 1 : 15
        execFileSync("npm", ["run", "-s", "build"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
        const daemon = spawn(process.execPath, [program, "--data", dataDir, "up"], {
          stdio: ["ignore", "pipe", "inherit"],
        })
        const ended = once(daemon, "exit")
        try {
          await new Promise<void>((resolve, reject) => {
            daemon.stdout.on("data", (chunk: Buffer) => chunk.includes("lamplighter is up") && resolve())
            void ended.then(([code]) => reject(new Error(`the daemon ended with ${code}`)))
          })
          const bare = costs(count, "-e", "0").ms
          return [
            ...rowsOf("next", 230, bare, costs(count, program, "next", "@daily")),
            ...rowsOf("status", 270, bare, costs(count, program, "--data", dataDir, "status")),
          ]
        } finally {
          daemon.kill("SIGTERM")
          await ended
        }
      }),
    ),
}
