/** The real daemon as a real process, in a temporary data directory; the tests speak to it through its socket as any client does. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { client } from "../../src/layers/http/SocketClient.ts"
import type { ShownMessage } from "../../src/domain/Message.ts"
import { MessageId, GroupId } from "../../src/domain/Ids.ts"
import { plainGroup } from "../../src/domain/Group.ts"
import { patience } from "./Patience.ts"
import { inherited } from "./Environment.ts"

const main = path.resolve(import.meta.dirname, "../../src/main.ts")
const crashingMain = path.resolve(import.meta.dirname, "CrashingMain.ts")
const DEADLINE_MS = patience(15_000)

export interface LiveDaemon {
  readonly dataDir: string
  /** `words`: what is said after `up`. */
  readonly start: (
    env?: Readonly<Record<string, string>>,
    words?: ReadonlyArray<string>,
  ) => Promise<ChildProcess>
  /** Waits for the process to end; its exit code, or the signal that ended it. */
  readonly ended: (child: ChildProcess) => Promise<number | string>
}

/** A data directory that goes when the scope closes, with every process that was started on it. */
export const liveDaemon: Effect.Effect<LiveDaemon, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-test-"))
    const children: Array<ChildProcess> = []
    const ended = (child: ChildProcess): Promise<number | string> =>
      child.exitCode !== null || child.signalCode !== null
        ? Promise.resolve(child.exitCode ?? child.signalCode ?? "unknown")
        : new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal ?? "unknown")))
    return {
      dataDir,
      children,
      ended,
      start: (
        env: Readonly<Record<string, string>> = {},
        words: ReadonlyArray<string> = [],
      ): Promise<ChildProcess> => {
        const child = spawn(
          process.execPath,
          ["CRASH_AT" in env ? crashingMain : main, "--data", dataDir, "up", ...words],
          {
            env: { ...inherited, ...env },
            stdio: ["ignore", "pipe", "pipe"],
          },
        )
        children.push(child)
        return new Promise((resolve, reject) => {
          let heard = ""
          const listen = (chunk: Buffer): void => {
            heard += chunk.toString()
            if (heard.includes("lamplighter is up")) resolve(child)
          }
          child.stdout.on("data", listen)
          child.stderr.on("data", listen)
          child.once("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${heard}`)))
        })
      },
    }
  }),
  ({ dataDir, children, ended }) =>
    Effect.promise(async () => {
      for (const child of children) {
        child.kill("SIGTERM")
        await ended(child)
      }
      for (const pid of agentsOf(dataDir)) process.kill(pid, "SIGKILL")
      fs.rmSync(dataDir, { recursive: true, force: true })
    }),
)

/** Process ids of the agents that work in this data directory. */
export const agentsOf = (dataDir: string): ReadonlyArray<number> =>
  fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const environment = fs.readFileSync(`/proc/${pid}/environ`, "utf8")
        const command = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")
        return environment.includes(dataDir) && command.includes("agent-runner")
      } catch {
        return false
      }
    })

export const api = (daemon: LiveDaemon) => Effect.succeed(client(path.join(daemon.dataDir, "daemon.sock")))

/** Adds a group whose agent is a small program, with limits that a test can wait for. */
export const addGroup = (
  daemon: LiveDaemon,
  command: readonly [string, ...Array<string>] | null,
  policy: Readonly<Record<string, number>> = {},
) =>
  Effect.flatMap(api(daemon), (http) =>
    http.addGroup({
      ...plainGroup(GroupId.make("g1")),
      provider: {
        name: command === null ? "echo" : "command",
        command,
        timeoutMs: null,
        model: null,
      },
      policy: { retryBaseMs: 100, graceMs: 1_000, wakeBackoffBaseMs: 100, ...policy },
    }),
  )

export const sendText = (daemon: LiveDaemon, id: string, text: string) =>
  Effect.flatMap(api(daemon), (http) =>
    http.send({
      id: MessageId.make(id),
      groupId: "g1" as never,
      kind: "chat",
      content: { text },
    }),
  )

export const report = (daemon: LiveDaemon, id: string) =>
  Effect.flatMap(api(daemon), (http) => http.message({ id: MessageId.make(id) }))

/** Looks until the message is as wanted. */
export const until = Effect.fnUntraced(function* (
  daemon: LiveDaemon,
  id: string,
  wanted: (message: ShownMessage) => boolean,
) {
  const deadline = Date.now() + DEADLINE_MS
  while (true) {
    const found = yield* report(daemon, id)
    if (wanted(found.message)) return found
    if (Date.now() > deadline) {
      return yield* Effect.die(new Error(`message ${id} stays ${JSON.stringify(found.message)}`))
    }
    yield* Effect.sleep(20)
  }
})
