/**
 * A program in its own process group, with a time limit: commands and scripts of the agent. When it must end, the group gets
 * SIGTERM and soon after SIGKILL, so that what it started ends too. Nothing that it does can hang or fill this process.
 */
import { spawn } from "node:child_process"
import { AgentOutput } from "./AgentOutput.ts"

export interface Program {
  readonly file: string
  readonly arguments: ReadonlyArray<string>
  readonly workdir: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Written to stdin, which is closed then. */
  readonly input: string
  /** Written to file descriptor 3; null leaves that closed. */
  readonly sideInput: string | null
  readonly timeoutMs: number | null
  readonly signal: AbortSignal
  readonly onStdout: (text: string) => void
  /** Bytes arrived on stdout or stderr. */
  readonly onProgress: () => void
}

export type ProgramEnd =
  | {
      readonly kind: "exited"
      readonly code: number | null
      readonly signal: string | null
      readonly stderr: string
    }
  | { readonly kind: "timeout"; readonly stderr: string }
  | { readonly kind: "aborted" }
  | { readonly kind: "unstartable"; readonly why: string }

const MAX_STDERR_CHARS = 4_096
const KILL_AFTER_MS = 500
/** After the program's exit, a process that it left behind may keep its output open. The runner waits no longer than this. */
const DRAIN_MS = 1_000

const groups = new Set<number>()

const signalGroup = (group: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-group, signal)
  } catch {
    // The group is gone already.
  }
}

// When the runner exits by itself, it takes the agent's programs along.
process.on("exit", () => {
  for (const group of groups) signalGroup(group, "SIGKILL")
})

export const runProgram = (program: Program): Promise<ProgramEnd> =>
  new Promise((resolve) => {
    if (program.signal.aborted) return resolve({ kind: "aborted" })
    const child = start(program)
    if (child instanceof Error) return resolve({ kind: "unstartable", why: child.message })
    const group = child.pid
    let cause: "timeout" | "aborted" | undefined
    let stderr = ""
    const said = { stdout: new AgentOutput(), stderr: new AgentOutput() }
    let exit: { readonly code: number | null; readonly signal: string | null } | undefined
    const timers: Array<NodeJS.Timeout> = []

    const stop = (why: "timeout" | "aborted"): void => {
      if (cause !== undefined || exit !== undefined || group === undefined) return
      cause = why
      signalGroup(group, "SIGTERM")
      timers.push(setTimeout(() => signalGroup(group, "SIGKILL"), KILL_AFTER_MS))
    }
    const onAbort = (): void => stop("aborted")
    const settle = (end: ProgramEnd): void => {
      for (const timer of timers) clearTimeout(timer)
      program.signal.removeEventListener("abort", onAbort)
      if (group !== undefined) {
        if (cause !== undefined) signalGroup(group, "SIGKILL")
        groups.delete(group)
      }
      for (const stream of child.stdio) stream?.destroy()
      said.stdout.end()
      said.stderr.end()
      resolve(end)
    }
    const settleExited = (): void => {
      if (cause === "aborted") settle({ kind: "aborted" })
      else if (cause === "timeout") settle({ kind: "timeout", stderr })
      else settle({ kind: "exited", code: exit?.code ?? null, signal: exit?.signal ?? null, stderr })
    }

    child.on("error", (error) => {
      if (group === undefined) settle({ kind: "unstartable", why: error.message })
    })
    if (group === undefined) return
    groups.add(group)
    program.signal.addEventListener("abort", onAbort, { once: true })
    if (program.timeoutMs !== null) timers.push(setTimeout(() => stop("timeout"), program.timeoutMs))

    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      program.onProgress()
      said.stdout.write(text)
      program.onStdout(text)
    })
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      program.onProgress()
      said.stderr.write(text)
      stderr = (stderr + text).slice(-MAX_STDERR_CHARS)
    })
    child.on("exit", (code, signal) => {
      exit = { code, signal }
      if (cause !== undefined) signalGroup(group, "SIGKILL")
      timers.push(setTimeout(settleExited, DRAIN_MS))
    })
    child.on("close", settleExited)
    feed(child.stdin, program.input)
    if (program.sideInput !== null) feed(child.stdio[3] as NodeJS.WritableStream | null, program.sideInput)
  })

const start = (program: Program) => {
  try {
    return spawn(program.file, program.arguments, {
      cwd: program.workdir,
      env: program.environment,
      detached: true,
      stdio: ["pipe", "pipe", "pipe", program.sideInput === null ? "ignore" : "pipe"],
    })
  } catch (error) {
    // An argument or a variable that the system refuses.
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** A program may close its stdin unread. */
const feed = (stream: NodeJS.WritableStream | null, text: string): void => {
  stream?.on("error", () => undefined)
  stream?.end(text)
}

/** The last of what a program said on stderr, as the end of a sentence. */
export const tail = (stderr: string, maxChars: number): string => {
  const text = stderr.trim()
  return text === "" ? "" : `: ${text.slice(-maxChars)}`
}
