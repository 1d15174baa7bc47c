/**
 * One reader process, seen from the daemon: started, asked one file at a time, and killed when it takes too long. How an exchange
 * ended is a value, because an overrun or a crash is what a hostile file is expected to cause.
 */
import { Effect, Option, Schema } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Reading } from "../../services/Mailbox.ts"
import { makeOutboundCollector } from "./OutboundReading.ts"
import type { RefusalKind } from "./OutboundRefusal.ts"
import { parseAnswer } from "./ReaderAnswers.ts"
import {
  ANSWER_BYTES,
  encodeFrame,
  makeFrameSplitter,
  type ReaderAnswer,
  type ReaderRequest,
} from "./ReaderFrames.ts"

/** The sources run as they are; an installed package has the entry compiled, because Node strips no types in node_modules. */
const entry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./ReaderMain.ts" : "./ReaderMain.js", import.meta.url),
)

/** Enough for a file of the largest size, its copy in SQLite and its rows as text. */
const HEAP_MIB = 512
const START_MS = 10_000
/** How much of a dying process's stderr goes into the reason. */
const COMPLAINT_CHARS = 400

/** No reader process could be started. That is the host's problem, not the file's. */
export class ReaderUnavailable extends Schema.TaggedError<ReaderUnavailable>()("ReaderUnavailable", {
  message: Schema.String,
}) {}

/** The outcome of one request. After `Overran` and `Died` the process is gone. */
export type Exchange =
  /** `more`: where the next part begins, null when this was the last. */
  | { readonly _tag: "Answered"; readonly reading: Reading; readonly more: string | null }
  | { readonly _tag: "Refused"; readonly kind: RefusalKind; readonly reason: string }
  | { readonly _tag: "Overran"; readonly deadlineMs: number }
  | { readonly _tag: "Died"; readonly how: string }

export interface ReaderProcess {
  readonly pid: number
  readonly alive: () => boolean
  /** One request at a time. Interruption kills the process, because nothing else stops native code. */
  readonly ask: (request: ReaderRequest, deadlineMs: number) => Effect.Effect<Exchange>
  /** Kills it, if it is alive, and waits until it is gone. */
  readonly end: Effect.Effect<void>
}

/** Receives the process's answers, and learns of its death. */
interface Listener {
  readonly heard: (answer: ReaderAnswer) => void
  readonly died: (how: string) => void
}

const howItDied = (code: number | null, signal: string | null, complaint: string): string => {
  const said = complaint.trim()
  return `${signal === null ? `exit code ${code}` : signal}${said === "" ? "" : `: ${said}`}`
}

/** The process and its pipes. It has one listener at a time, and any number of callers may wait for its death. */
interface Child {
  readonly pid: number
  readonly dead: () => boolean
  readonly kill: () => void
  readonly say: (request: ReaderRequest) => void
  /** Null: no answer is expected, and the process is killed if it sends one. */
  readonly listen: (listener: Listener | null) => void
  readonly isHeardBy: (listener: Listener) => boolean
  readonly whenDead: (tell: () => void) => void
}

/** The process inherits no environment, no descriptor and no working directory. */
const spawnChild = (): Child => {
  const child = spawn(process.execPath, ["--no-warnings", `--max-old-space-size=${HEAP_MIB}`, entry], {
    cwd: "/",
    env: {},
    stdio: ["pipe", "pipe", "pipe"],
  })
  let listener: Listener | null = null
  let complaint = ""
  let dead = false
  const waiting: Array<() => void> = []
  const kill = () => void child.kill("SIGKILL")
  const passedAway = (how: string) => {
    if (dead) return
    dead = true
    const last = listener
    listener = null
    last?.died(how)
    for (const tell of waiting.splice(0)) tell()
  }
  const split = makeFrameSplitter(ANSWER_BYTES)
  child.stdout.on("data", (piece: Buffer) => {
    try {
      for (const text of split(piece)) {
        const answer = parseAnswer(text)
        if (Option.isNone(answer) || listener === null) return kill()
        listener.heard(answer.value)
      }
    } catch {
      kill()
    }
  })
  child.stderr.on("data", (piece: Buffer) => {
    complaint = (complaint + piece.toString("utf8")).slice(0, COMPLAINT_CHARS)
  })
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on("error", kill)
  child.on("error", (error) => passedAway(error.message))
  child.on("close", (code, signal) => passedAway(howItDied(code, signal, complaint)))
  return {
    pid: child.pid ?? 0,
    dead: () => dead,
    kill,
    say: (request) => void child.stdin.write(encodeFrame(request)),
    listen: (next) => {
      listener = next
    },
    isHeardBy: (one) => listener === one,
    whenDead: (tell) => void waiting.push(tell),
  }
}

const ask = (child: Child, request: ReaderRequest, deadlineMs: number): Effect.Effect<Exchange> =>
  Effect.callback((answer) => {
    const collector = makeOutboundCollector()
    const settle = (exchange: Exchange) => {
      clearTimeout(deadline)
      child.listen(null)
      answer(Effect.succeed(exchange))
    }
    // If the daemon itself was busy, its timers fire before it reads what arrived in the meantime: let it read first.
    const deadline = setTimeout(() => setImmediate(overran), deadlineMs)
    const overran = () => {
      if (!child.isHeardBy(mine)) return
      settle({ _tag: "Overran", deadlineMs })
      child.kill()
    }
    const mine: Listener = {
      heard: (said) => {
        if (said._tag === "Cells") collector.add(said)
        else if (said._tag === "Done")
          settle({ _tag: "Answered", reading: collector.done(said), more: said.more })
        else if (said._tag === "Refusal") settle({ _tag: "Refused", kind: said.kind, reason: said.reason })
        else child.kill()
      },
      died: (how) => settle({ _tag: "Died", how }),
    }
    if (child.dead()) return settle({ _tag: "Died", how: "it was gone before it was asked" })
    child.listen(mine)
    child.say(request)
    return Effect.sync(() => {
      clearTimeout(deadline)
      child.listen(null)
      child.kill()
    })
  })

/** Resolves when the process is gone, so that the caller can safely start another. */
const end = (child: Child): Effect.Effect<void> =>
  Effect.callback((done) => {
    if (child.dead()) return done(Effect.void)
    child.whenDead(() => done(Effect.void))
    child.kill()
  })

/** Spawns the process and waits until it answers. */
export const startReader: Effect.Effect<ReaderProcess, ReaderUnavailable> = Effect.callback((resume) => {
  const child = spawnChild()
  const late = setTimeout(child.kill, START_MS)
  child.listen({
    heard: (said) => {
      if (said._tag !== "Ready") return child.kill()
      clearTimeout(late)
      child.listen(null)
      resume(
        Effect.succeed({
          pid: child.pid,
          alive: () => !child.dead(),
          ask: (request, deadlineMs) => ask(child, request, deadlineMs),
          end: end(child),
        }),
      )
    },
    died: (how) => {
      clearTimeout(late)
      resume(Effect.fail(new ReaderUnavailable({ message: `no process can be started to read it (${how})` })))
    },
  })
  return Effect.suspend(() => {
    clearTimeout(late)
    child.listen(null)
    return end(child)
  })
})
