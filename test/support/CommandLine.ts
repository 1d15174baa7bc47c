/**
 * The program as a user has it. Commands run in this process, on a data directory that goes with the test file; the daemon is a
 * process of its own, and so is a command that needs an environment or stdin of its own.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { format } from "node:util"
import { Screen } from "../../src/cli/Output.ts"
import { exitCodeOf, runWords } from "../../src/cli/Run.ts"
import { patience } from "./Patience.ts"
import { inherited } from "./Environment.ts"

const main = path.resolve(import.meta.dirname, "../../src/main.ts")
const COMMAND_MS = 30_000

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command in this process, as if its output went to a pipe, or to a terminal. */
export const runHere = async (
  words: ReadonlyArray<string>,
  screen: "terminal" | "pipe" = "pipe",
): Promise<Ran> => {
  let stdout = ""
  let stderr = ""
  const captured: Console.Console = Object.assign(Object.create(console), {
    log: (...said: ReadonlyArray<unknown>) => void (stdout += `${format(...said)}\n`),
    error: (...said: ReadonlyArray<unknown>) => void (stderr += `${format(...said)}\n`),
  })
  const exit = await Effect.runPromiseExit(
    runWords(words).pipe(
      Effect.provideService(Console.Console, captured),
      Effect.provideService(Screen, screen),
      Effect.provide(NodeServices.layer),
    ),
  )
  return { code: exitCodeOf(exit), stdout, stderr }
}

export interface CommandLine {
  readonly dataDir: string
  readonly run: (...words: ReadonlyArray<string>) => Promise<Ran>
  /** Refuses a non-zero exit, and gives what `--json` printed. */
  readonly json: (...words: ReadonlyArray<string>) => Promise<any>
  /** The same as a process of its own. `input` goes to stdin. */
  readonly runWith: (
    options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> },
    ...words: ReadonlyArray<string>
  ) => Promise<Ran>
  /** Starts the daemon and returns when it says that it is up. */
  readonly up: (env?: Readonly<Record<string, string>>) => Promise<ChildProcess>
  /** Looks until it holds, at most 15 seconds. */
  readonly until: <A>(look: () => Promise<A>, holds: (value: A) => boolean) => Promise<A>
  readonly close: () => Promise<void>
}

export const commandLine = (): CommandLine => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-cli-"))
  const daemons: Array<ChildProcess> = []

  const runWith: CommandLine["runWith"] = ({ input, env }, ...words) =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [main, "--data", dataDir, ...words], {
        env: { ...inherited, ...env },
        stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        timeout: COMMAND_MS,
      })
      let stdout = ""
      let stderr = ""
      child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
      child.once("error", reject)
      child.once("close", (code) => resolve({ code, stdout, stderr }))
      child.stdin?.end(input)
    })
  const run: CommandLine["run"] = (...words) => runHere(["--data", dataDir, ...words])

  return {
    dataDir,
    run,
    runWith,
    json: async (...words) => {
      const ran = await run(...words, "--json")
      if (ran.code !== 0) throw new Error(`${words.join(" ")} exited with ${ran.code}: ${ran.stderr}`)
      return JSON.parse(ran.stdout)
    },
    up: (env = {}) => {
      const child = spawn(process.execPath, [main, "--data", dataDir, "up"], {
        env: { ...inherited, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      })
      daemons.push(child)
      return new Promise((resolve, reject) => {
        let heard = ""
        const listen = (chunk: Buffer): void => {
          heard += chunk.toString()
          if (heard.includes("lamplighter is up")) resolve(child)
        }
        child.stdout?.on("data", listen)
        child.stderr?.on("data", listen)
        child.once("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${heard}`)))
      })
    },
    until: async (look, holds) => {
      const deadline = Date.now() + patience(15_000)
      while (true) {
        const value = await look()
        if (holds(value)) return value
        if (Date.now() > deadline) throw new Error(`it stays ${JSON.stringify(value)}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    close: async () => {
      for (const daemon of daemons) {
        if (daemon.exitCode !== null || daemon.signalCode !== null) continue
        const ended = new Promise((resolve) => daemon.once("exit", resolve))
        daemon.kill("SIGTERM")
        await ended
      }
      fs.rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
