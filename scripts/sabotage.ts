/**
 * `npm run sabotage [-- --list] [-- --only name]`: breaks one rule at a time in a copy of the sources, and runs the tests that ought to
 * notice. A sabotage that nobody notices is a rule that nothing proves; the exit code is then 1.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { sabotages, type Sabotage } from "./sabotage/Sabotages.ts"

const root = path.resolve(import.meta.dirname, "..")
const WORKERS = 2
/** A sabotage can make a test hang; that is noticed too. */
const LIMIT_MS = 120_000

const words = process.argv.slice(2)
const only = words.includes("--only") ? words[words.indexOf("--only") + 1] : undefined
const chosen = only === undefined ? sabotages : sabotages.filter(({ name }) => name.includes(only))

const copyTree = (): string => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-sabotage-"))
  for (const name of [
    "src",
    "test",
    "container",
    "scripts",
    "bench",
    "docs",
    "package.json",
    "tsconfig.json",
    "vitest.config.ts",
  ]) {
    fs.cpSync(path.join(root, name), path.join(directory, name), { recursive: true })
  }
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
    const ran = await runTests(directory, sabotage.tests)
    return ran.code === 0
      ? verdict("NOT NOTICED", `${sabotage.tests.join(", ")} pass`)
      : verdict("noticed", ran.firstFailure)
  } finally {
    fs.writeFileSync(file, source)
  }
}

const runTests = (
  directory: string,
  tests: ReadonlyArray<string>,
): Promise<{ readonly code: number | null; readonly firstFailure: string }> =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        path.join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        "--bail=1",
        "--maxWorkers=1",
        "--reporter=default",
        ...tests,
      ],
      {
        cwd: directory,
        stdio: ["ignore", "pipe", "pipe"],
        timeout: LIMIT_MS,
        killSignal: "SIGKILL",
        env: { ...process.env, NO_COLOR: "1" },
      },
    )
    let said = ""
    const listen = (chunk: Buffer): void => {
      if (said.length < 1_000_000) said += chunk.toString()
    }
    child.stdout.on("data", listen)
    child.stderr.on("data", listen)
    child.once("close", (code) => {
      const failure =
        /FAIL\s+(.+)/.exec(said)?.[1] ?? (code === null ? "the tests hung" : "the tests failed to run")
      resolve({ code, firstFailure: failure.trim().slice(0, 110) })
    })
  })

const work = async (queue: Array<Sabotage>, verdicts: Array<Verdict>): Promise<void> => {
  const directory = copyTree()
  try {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const verdict = await attempt(directory, next)
      verdicts.push(verdict)
      process.stdout.write(
        `${verdict.noticed.padEnd(11)}  ${verdict.seconds.toFixed(1).padStart(5)} s  ${next.name}: ${verdict.detail}\n`,
      )
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

if (words.includes("--list")) {
  for (const { file, name, rule } of sabotages) process.stdout.write(`${name}: ${rule} (${file})\n`)
} else if (chosen.length === 0) {
  process.stderr.write(`there is no sabotage '${only ?? ""}'; --list shows them\n`)
  process.exitCode = 1
} else {
  // The tests must pass before anything is broken, or every sabotage would seem to be noticed.
  const clean = copyTree()
  const sound = await runTests(clean, [...new Set(chosen.flatMap(({ tests }) => tests))])
  fs.rmSync(clean, { recursive: true, force: true })
  if (sound.code === 0) {
    const verdicts: Array<Verdict> = []
    const queue = [...chosen]
    await Promise.all(Array.from({ length: WORKERS }, () => work(queue, verdicts)))
    const unnoticed = verdicts.filter(({ noticed }) => noticed !== "noticed")
    process.stdout.write(`${verdicts.length - unnoticed.length} of ${verdicts.length} sabotages noticed\n`)
    process.exitCode = unnoticed.length === 0 ? 0 : 1
  } else {
    process.stderr.write(`the tests fail without any sabotage: ${sound.firstFailure}\n`)
    process.exitCode = 1
  }
}
