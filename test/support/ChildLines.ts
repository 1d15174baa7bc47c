/** A child process whose output is read line by line, for tests that wait for what it says. Ended with the scope. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"

export interface ChildLines {
  readonly child: ChildProcess
  /** All lines so far. */
  readonly lines: ReadonlyArray<string>
  /** The first line that matches, once it is there; a failure when the output ends without one. */
  readonly line: (pattern: RegExp) => Effect.Effect<string, Error>
  /** Resolves when the process is gone and its output read. */
  readonly ended: Effect.Effect<void>
}

/** `command` is run as it stands, without a shell. */
export const spawnChild = (command: ReadonlyArray<string>): Effect.Effect<ChildLines, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => start(command)),
    ({ child, ended }) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        ended,
      ),
  )

const start = ([program = "", ...args]: ReadonlyArray<string>): ChildLines => {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] })
  const lines: Array<string> = []
  let waiting: Array<() => void> = []
  let over = false
  const notify = (): void => {
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line)
    notify()
  })
  const closed = new Promise<void>((resolve) => {
    child.on("close", () => {
      over = true
      notify()
      resolve()
    })
  })
  const find = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = lines.find((line) => pattern.test(line))
      if (found !== undefined) return found
      if (over) throw new Error(`the child ended without ${pattern}: ${lines.slice(-5).join(" / ")}`)
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  return {
    child,
    lines,
    line: (pattern) => Effect.promise(() => find(pattern)),
    ended: Effect.promise(() => closed),
  }
}
