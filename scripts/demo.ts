/**
 * The demonstration: the real daemon in a temporary data directory, a real program as the agent, one answer, one recurring task,
 * one agent that hangs and one that crashes, and the timeline of it all. Needs nothing but Node.
 */
import { spawn, execFile, type ChildProcess } from "node:child_process"
import { Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"

const main = path.resolve(import.meta.dirname, "../src/main.ts")
const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-demo-"))
const run = promisify(execFile)

/** The agent: a small program that reads its prompt from stdin. It hangs or crashes once when it is asked to. */
const agent = `
const fs = require("node:fs")
let prompt = ""
process.stdin.on("data", (chunk) => { prompt += chunk }).on("end", () => {
  const first = process.env.LAMPLIGHTER_ATTEMPT === "0"
  if (prompt.includes("please hang") && first) return void setInterval(() => {}, 1000)
  if (prompt.includes("please crash") && first) process.kill(process.ppid, "SIGKILL")
  else console.log("I read " + prompt.trim().length + " characters and have nothing to add.")
})`

const lamplighter = async (...words: ReadonlyArray<string>): Promise<string> => {
  const { stdout } = await run(process.execPath, [main, "--data", dataDir, ...words])
  return stdout.trimEnd()
}

const show = async (...words: ReadonlyArray<string>): Promise<string> => {
  console.log(`\n$ lamplighter ${words.join(" ")}`)
  const output = await lamplighter(...words)
  console.log(output)
  return output
}

const started = (daemon: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    const listen = (chunk: Buffer): void => {
      if (chunk.toString().includes("lamplighter is up")) resolve()
    }
    daemon.stdout?.on("data", listen)
    daemon.stderr?.on("data", listen)
    daemon.once("exit", (code) => reject(new Error(`the daemon ended with ${code}`)))
  })

const decodeRuns = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Array(Schema.Struct({ seriesId: Schema.NullOr(Schema.String), outcome: Schema.String })),
  ),
)

const untilRuns = async (wanted: number): Promise<void> => {
  for (let look = 0; look < 100; look++) {
    const runs = decodeRuns(await lamplighter("runs", "--json"))
    if (runs.filter((row) => row.seriesId !== null && row.outcome === "completed").length >= wanted) return
  }
  throw new Error(`the task did not run ${wanted} times`)
}

const daemon = spawn(process.execPath, [main, "--data", dataDir, "up"], {
  env: { ...process.env, LAMPLIGHTER_POLL_INTERVAL_MS: "250" },
  stdio: ["ignore", "pipe", "pipe"],
})
try {
  await started(daemon)
  const policy = JSON.stringify({ ceilingMs: 1_500, retryBaseMs: 500, graceMs: 500 })
  const command = JSON.stringify([process.execPath, "-e", agent])
  await lamplighter("group", "add", "demo", "--provider", "command", "--command", command, "--policy", policy)
  await show("send", "demo", "hello", "--wait")
  await show("task", "add", "demo", "every 2s", "tick", "--id", "ticker")
  await untilRuns(2)
  await show("task", "cancel", "ticker")
  await show("send", "demo", "please crash once", "--wait")
  await show("send", "demo", "please hang once", "--wait")
  await show("runs")
  await show("events", "--all")
} finally {
  const ended = new Promise((resolve) => daemon.once("exit", resolve))
  daemon.kill("SIGTERM")
  const code = daemon.exitCode ?? (await ended)
  fs.rmSync(dataDir, { recursive: true, force: true })
  console.log(`\nThe daemon stopped with exit code ${String(code)}.`)
  process.exitCode = code === 0 ? 0 : 1
}
