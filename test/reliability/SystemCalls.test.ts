import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import {
  addEchoGroup,
  checkLedger,
  pause,
  realDaemon,
  type RealDaemon,
  sendText,
  startLoad,
  stopCleanly,
  untilSettled,
} from "../support/RealDaemon.ts"
import { socketPath } from "../../src/cli/Connection.ts"
import { patience } from "../support/Patience.ts"

/** Whether strace can attach to a process here; else why not. */
const missing = ((): string | null => {
  const child = spawn("sleep", ["10"], { stdio: "ignore" })
  try {
    if (child.pid === undefined) return "there is no process to trace"
    execFileSync(
      "timeout",
      ["2", "strace", "-qq", "-o", "/dev/null", "-e", "trace=none", "-p", String(child.pid)],
      {
        stdio: ["ignore", "ignore", "pipe"],
      },
    )
    return "strace ended by itself"
  } catch (cause) {
    // 124: it was still attached when its time was over.
    if ((cause as { status?: number }).status === 124) return null
    return cause instanceof Error ? cause.message.split("\n").slice(0, 2).join(" ") : String(cause)
  } finally {
    child.kill("SIGKILL")
  }
})()
if (missing !== null) {
  if (process.env["LAMPLIGHTER_REQUIRE_STRACE"] === "1") throw new Error(`strace is required: ${missing}`)
  console.log(`system calls that fail are skipped: ${missing} (apt-get install strace)`)
}

interface Case {
  readonly call: string
  readonly error: "EIO" | "ENOSPC" | "EMFILE" | "EAGAIN"
  /** `once`: the first such call fails; `for-a-while`: all of them, until strace goes. */
  readonly when: "once" | "for-a-while"
  /** `main`: the daemon's own thread, in which the ledger lives; `all`: libuv's threads and new children too. */
  readonly threads: "main" | "all"
}

/** What the daemon calls under load: the ledger's writes, files of the exchange, sockets and processes. */
const CASES: ReadonlyArray<Case> = [
  { call: "fdatasync,fsync", error: "EIO", when: "once", threads: "main" },
  { call: "pwrite64", error: "ENOSPC", when: "once", threads: "main" },
  { call: "pwrite64", error: "EIO", when: "once", threads: "main" },
  { call: "pwrite64", error: "ENOSPC", when: "for-a-while", threads: "all" },
  { call: "pread64", error: "EIO", when: "once", threads: "main" },
  { call: "openat", error: "EMFILE", when: "once", threads: "main" },
  { call: "openat", error: "EMFILE", when: "for-a-while", threads: "all" },
  { call: "openat", error: "ENOSPC", when: "for-a-while", threads: "main" },
  { call: "mkdir,mkdirat", error: "ENOSPC", when: "for-a-while", threads: "all" },
  { call: "rename,renameat,renameat2", error: "EIO", when: "for-a-while", threads: "all" },
  { call: "unlink,unlinkat,rmdir", error: "EIO", when: "for-a-while", threads: "all" },
  { call: "accept4", error: "EMFILE", when: "for-a-while", threads: "main" },
  { call: "socketpair,pipe2,socket", error: "EMFILE", when: "for-a-while", threads: "main" },
  { call: "fdatasync,fsync", error: "ENOSPC", when: "for-a-while", threads: "main" },
]

/** Calls of the start and the end of agents: these are let go idle before, so that there is one. */
const AT_START = /mkdir|rename|unlink|socketpair/
const IDLE_MS = 3_000

/** `LAMPLIGHTER_SYSTEM_CALL=mkdir` for one of them. */
const CHOSEN = CASES.filter(({ call }) => call.includes(process.env["LAMPLIGHTER_SYSTEM_CALL"] ?? ""))
const WATCHED_MS = 1_500
const INJECTION_LIMIT_MS = 8_000
const SENDERS = 3

/** The senders keep their connections: only somebody new has the daemon accept one. */
const knock = (dataDir: string): void => {
  const caller = net.connect(socketPath(dataDir), () => caller.destroy()).on("error", () => {})
}

/** Attaches strace with the fault, leaves it there for a while, and says how many calls it made fail. */
const injure = async (
  { dataDir }: RealDaemon,
  child: ChildProcess,
  fault: Case,
  log: string,
): Promise<number> => {
  fs.rmSync(log, { force: true })
  const when = fault.when === "once" ? ":when=1" : ""
  const tracer = spawn(
    "strace",
    [
      ...(fault.threads === "all" ? ["-f"] : []),
      "-qq",
      "-o",
      log,
      "-e",
      `trace=${fault.call}`,
      "-e",
      `inject=${fault.call}:error=${fault.error}${when}`,
      "-p",
      String(child.pid),
    ],
    { stdio: "ignore" },
  )
  const gone = new Promise<void>((resolve) => tracer.once("exit", () => resolve()))
  const injected = (): number => {
    try {
      return fs.readFileSync(log, "utf8").split("(INJECTED)").length - 1
    } catch {
      return 0
    }
  }
  const started = Date.now()
  while (injected() === 0 && Date.now() - started < INJECTION_LIMIT_MS && child.exitCode === null) {
    if (fault.call.includes("accept")) knock(dataDir)
    await pause(20)
  }
  if (child.exitCode === null) await pause(WATCHED_MS)
  tracer.kill("SIGTERM")
  await gone
  return injected()
}

/** Whether it survived; if not, it must have ended by itself, and another one takes over, as a supervisor would have it. */
const recovered = async (world: RealDaemon, child: ChildProcess, told: string): Promise<ChildProcess> => {
  if (child.exitCode === null && child.signalCode === null) return child
  assert.isNull(child.signalCode, `${told}: it was ended by a signal: ${world.heard()}`)
  assert.notStrictEqual(child.exitCode, 0, `${told}: it ended as if all were well`)
  return world.bootAndWait()
}

/** Settles with false when it has ended. */
const ended = (child: ChildProcess): Promise<boolean> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(false)
    else child.once("exit", () => resolve(false))
  })

describe.skipIf(missing !== null)("system calls that fail", () => {
  it(
    "lose nothing that was accepted: the daemon goes on, or ends and another one goes on",
    { timeout: patience(420_000) },
    async () => {
      const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-strace-"))
      const world = realDaemon()
      let failed = 0
      let restarts = 0
      try {
        let child = await world.bootAndWait()
        assert.isNotNull(await addEchoGroup(world))
        const load = startLoad(world, SENDERS)
        for (const fault of CHOSEN) {
          const told = `${fault.error} of ${fault.call} (${fault.when}, ${fault.threads})`
          if (AT_START.test(fault.call)) {
            load.state = "paused"
            await pause(IDLE_MS)
            load.state = "running"
          }
          const before = load.acknowledged.size
          const injected = await injure(world, child, fault, path.join(scratch, "strace.log"))
          const injured = child
          load.state = "paused"
          // It may end at any time from now on: a write that can't be vouched for ends it, and it stops its agents first.
          for (let isSettled = false; !isSettled;) {
            const next = await recovered(world, child, told)
            if (next !== child) restarts += 1
            child = next
            const settled = untilSettled(world, load).then(() => true)
            isSettled = await Promise.race([settled, ended(child)])
          }
          load.state = "running"
          console.log(
            `${told}: ${injected} calls failed, ${load.acknowledged.size - before} messages, ` +
              (injured === child ? "" : "restarted"),
          )
          assert.isAbove(injected, 0, `${told} was never called`)
          failed += injected
        }
        load.state = "over"
        await load.ended()
        // Who can't write any more finds that out at the next write, and not at the signal.
        while ((await sendText(world, "last", 0)) === null) {
          child = await recovered(world, child, "the last message")
          await pause(100)
        }
        load.acknowledged.add("last")
        await untilSettled(world, load)
        await stopCleanly(world, child)
        assert.deepStrictEqual(load.doubles, [])
        const figures = await checkLedger(world, load)
        console.log(
          `system calls: ${CHOSEN.length} faults, ${failed} calls failed, ${restarts} restarts, ${figures.messages} messages, ` +
            `${figures.lines} lines delivered, ${figures.repeats} of them repeats with their key`,
        )
      } finally {
        await world.close()
        fs.rmSync(scratch, { recursive: true, force: true })
      }
    },
  )
})
