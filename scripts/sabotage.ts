/**
 * `npm run sabotage [-- --list] [-- --only name] [-- --by tests|simulation]`: breaks one rule at a time in a copy of the sources, and
 * runs the tests that ought to notice, or simulated worlds until an invariant breaks. A sabotage that nobody notices is a rule that
 * nothing proves; the exit code is then 1.
 */
import { Schema } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { parse } from "yaml"

const root = path.resolve(import.meta.dirname, "..")
const WORKERS = 2
/** A sabotage can make a test hang; that is noticed too. */
const LIMIT_MS = 300_000
/** Before anything is broken all tests run, on a machine that may be busy. */
const SOUND_LIMIT_MS = 900_000

/** Worlds that the simulation may look at before it has to have found something. */
const WORLDS = "150"
/** Characters of what one run says. */
const MAX_SAID = 50_000_000

/** A rule that is broken on purpose. */
const Sabotage = Schema.Struct({
  name: Schema.String,
  /** The rule as a reader of docs/ knows it. */
  rule: Schema.String,
  file: Schema.String,
  /** Stands there exactly once. */
  from: Schema.String,
  to: Schema.String,
  /** Who ought to notice: these tests, or the simulation alone, which knows nothing of the rule in particular. */
  tests: Schema.Union([Schema.Literal("simulation"), Schema.Array(Schema.String)]),
})
type Sabotage = typeof Sabotage.Type

const HELP = `usage: npm run sabotage -- [--list] [--only NAME] [--by tests|simulation]
  --list only shows the sabotages; --only takes those whose name contains NAME, --by those that tests, or the simulation alone, notice.
`
const { values } = parseArgs({
  options: {
    list: { type: "boolean", default: false },
    only: { type: "string" },
    by: { type: "string" },
    help: { type: "boolean", default: false },
  },
})
const { by, only } = values
const finder = ({ tests }: Sabotage): string => (tests === "simulation" ? "simulation" : "tests")
const list = fs.readFileSync(path.join(root, "scripts/sabotage/sabotages.yaml"), "utf8")
const chosen = Schema.decodeUnknownSync(Schema.Array(Sabotage))(parse(list))
  .filter(({ name }) => only === undefined || name.includes(only))
  .filter((sabotage) => by === undefined || finder(sabotage) === by)

const COPIED = "src test container scripts bench docs package.json tsconfig.json vitest.config.ts".split(" ")

const copyTree = (): string => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-sabotage-"))
  for (const name of COPIED) fs.cpSync(path.join(root, name), path.join(directory, name), { recursive: true })
  fs.symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"))
  return directory
}

interface Verdict {
  readonly sabotage: Sabotage
  readonly noticed: "noticed" | "NOT NOTICED" | "broken sabotage"
  readonly detail: string
  readonly seconds: number
}

const attempt = async (directory: string, sabotage: Sabotage): Promise<Verdict> => {
  const start = performance.now()
  const file = path.join(directory, sabotage.file)
  const source = fs.readFileSync(file, "utf8")
  const found = source.split(sabotage.from).length - 1
  const verdict = (noticed: Verdict["noticed"], detail: string): Verdict => ({
    sabotage,
    noticed,
    detail,
    seconds: (performance.now() - start) / 1000,
  })
  if (found !== 1) return verdict("broken sabotage", `${sabotage.file} has its text ${found} times, not once`)
  fs.writeFileSync(
    file,
    source.replace(sabotage.from, () => sabotage.to),
  )
  try {
    if (sabotage.tests === "simulation") {
      const ran = await runWorlds(directory)
      return ran.broke === null
        ? verdict("NOT NOTICED", `every invariant held: ${ran.said}`)
        : verdict("noticed", ran.broke)
    }
    const ran = await runTests(directory, sabotage.tests)
    return ran.code === 0
      ? verdict("NOT NOTICED", `${sabotage.tests.join(", ")} pass`)
      : verdict("noticed", ran.firstFailure)
  } finally {
    fs.writeFileSync(file, source)
  }
}

/** Worlds until the first that fails. `broke`: which invariant, in its words; a program that can't even run has noticed nothing. */
const runWorlds = async (directory: string) => {
  const command = ["scripts/simulate.ts", "--brief", "--seeds", WORLDS, "--name", "sabotage"]
  const { said } = await run(directory, command, LIMIT_MS)
  const broke = /^(sabotage-\d+: invariant \d+ broke: .*)$/m.exec(said)?.[1]
  return { broke: broke?.slice(0, 150) ?? null, said: said.slice(-300) }
}

const runTests = async (directory: string, tests: ReadonlyArray<string>, limitMs = LIMIT_MS) => {
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs")
  const command = [vitest, "run", "--bail=1", "--maxWorkers=1", "--reporter=default", ...tests]
  const { code, said } = await run(directory, command, limitMs)
  const failure =
    /FAIL\s+(.+)/.exec(said)?.[1] ?? (code === null ? "the tests hung" : "the tests failed to run")
  return { code, firstFailure: failure.trim().slice(0, 110) }
}

/** `code`: null when it was killed, because it hung. */
const run = (directory: string, command: ReadonlyArray<string>, timeout: number) =>
  new Promise<{ readonly code: number | null; readonly said: string }>((resolve) => {
    const env = { ...process.env, NO_COLOR: "1" }
    const options = { cwd: directory, timeout, killSignal: "SIGKILL", env, maxBuffer: MAX_SAID } as const
    execFile(process.execPath, ["--no-warnings", ...command], options, (error, stdout, stderr) => {
      const code = typeof error?.code === "number" ? error.code : null
      resolve({ code: error === null ? 0 : code, said: stdout + stderr })
    })
  })

const work = async (queue: Array<Sabotage>, verdicts: Array<Verdict>): Promise<void> => {
  const directory = copyTree()
  try {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const verdict = await attempt(directory, next)
      verdicts.push(verdict)
      process.stdout.write(
        `${verdict.noticed.padEnd(11)}  ${finder(next).padEnd(10)}  ${verdict.seconds.toFixed(1).padStart(5)} s  ` +
          `${next.name}: ${verdict.detail}\n`,
      )
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

if (values.help) {
  process.stdout.write(HELP)
} else if (values.list) {
  for (const sabotage of chosen) {
    const { file, name, rule } = sabotage
    process.stdout.write(`${finder(sabotage).padEnd(10)}  ${name}: ${rule} (${file})\n`)
  }
} else if (chosen.length === 0) {
  process.stderr.write(`there is no sabotage '${only ?? ""}'; --list shows them\n`)
  process.exitCode = 1
} else {
  // All must be well before anything is broken, or every sabotage would seem to be noticed.
  const clean = copyTree()
  const asked = chosen.flatMap(({ tests }) => (tests === "simulation" ? [] : tests))
  const [sound, worlds] = await Promise.all([
    asked.length === 0 ? { code: 0, firstFailure: "" } : runTests(clean, [...new Set(asked)], SOUND_LIMIT_MS),
    chosen.every(({ tests }) => tests !== "simulation") ? { broke: null } : runWorlds(clean),
  ])
  fs.rmSync(clean, { recursive: true, force: true })
  const trouble = sound.code === 0 ? worlds.broke : sound.firstFailure
  if (trouble === null) {
    const verdicts: Array<Verdict> = []
    const queue = [...chosen]
    await Promise.all(Array.from({ length: WORKERS }, () => work(queue, verdicts)))
    const unnoticed = verdicts.filter(({ noticed }) => noticed !== "noticed")
    const noticed = (who: string): number =>
      verdicts.filter((one) => one.noticed === "noticed" && finder(one.sabotage) === who).length
    process.stdout.write(
      `${verdicts.length - unnoticed.length} of ${verdicts.length} sabotages noticed: ` +
        `${noticed("tests")} by tests, ${noticed("simulation")} by the simulation alone\n`,
    )
    process.exitCode = unnoticed.length === 0 ? 0 : 1
  } else {
    process.stderr.write(`this fails without any sabotage: ${trouble}\n`)
    process.exitCode = 1
  }
}
