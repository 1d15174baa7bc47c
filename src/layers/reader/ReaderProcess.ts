/**
 * One reader process, seen from the daemon: started, asked one file at a time, and killed when it takes too long. How an exchange
 * ended is a value, because an overrun or a crash is what a hostile file is expected to cause.
 */
import { Effect, Option, Schema } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Reading } from "../../services/Mailbox.ts"
import { makeOutboundCollector } from "../sqlite/OutboundReading.ts"
import type { RefusalKind } from "../sqlite/OutboundRefusal.ts"
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

/** A file of the largest size, its copy in SQLite and its rows as text fit beside this. */
const HEAP_MIB = 512
const START_MS = 10_000
/** What a dying process said is kept up to here, for the reason. */
const COMPLAINT_CHARS = 400

/** No reader process can be had: the host's trouble, not the file's. */
export class ReaderUnavailable extends Schema.TaggedError<ReaderUnavailable>()("ReaderUnavailable", {
  message: Schema.String,
}) {}

/** How asking for one file ended. After `Overran` and `Died` the process is no more. */
export type Exchange =
  /** `more`: where the next part begins, null when this was the last. */
  | { readonly _tag: "Answered"; readonly reading: Reading; readonly more: string | null }
  | { readonly _tag: "Refused"; readonly kind: RefusalKind; readonly reason: string }
  | { readonly _tag: "Overran"; readonly deadlineMs: number }
  | { readonly _tag: "Died"; readonly how: string }

export interface ReaderProcess {
  readonly pid: number
  readonly alive: () => boolean
  /** One at a time. Interruption kills the process, as nothing else stops native code. */
  readonly ask: (request: ReaderRequest, deadlineMs: number) => Effect.Effect<Exchange>
  /** Kills it, if it is alive, and waits until it is gone. */
  readonly end: Effect.Effect<void>
}

/** What the process is doing: who is told what it says, and that it died. */
interface Listener {
  readonly heard: (answer: ReaderAnswer) => void
  readonly died: (how: string) => void
}

const howItDied = (code: number | null, signal: string | null, complaint: string): string => {
  const said = complaint.trim()
  return `${signal === null ? `exit code ${code}` : signal}${said === "" ? "" : `: ${said}`}`
}

/** Spawns the process and waits until it answers. It inherits no environment, no descriptor and no working directory. */
export const startReader: Effect.Effect<ReaderProcess, ReaderUnavailable> = Effect.callback((resume) => {
  const child = spawn(process.execPath, ["--no-warnings", `--max-old-space-size=${HEAP_MIB}`, entry], {
    cwd: "/",
    env: {},
    stdio: ["pipe", "pipe", "pipe"],
  })
  let listener: Listener | null = null
  let complaint = ""
  let dead = false
  const whenDead: Array<() => void> = []

  const kill = () => void child.kill("SIGKILL")
  const passedAway = (how: string) => {
    if (dead) return
    dead = true
    const last = listener
    listener = null
    last?.died(how)
    for (const tell of whenDead.splice(0)) tell()
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

  const ask = (request: ReaderRequest, deadlineMs: number): Effect.Effect<Exchange> =>
    Effect.callback((answer) => {
      const collector = makeOutboundCollector()
      const settle = (exchange: Exchange) => {
        clearTimeout(deadline)
        listener = null
        answer(Effect.succeed(exchange))
      }
      // A daemon that was busy itself finds its timers due before it hears what arrived in the meantime.
      const deadline = setTimeout(() => setImmediate(overran), deadlineMs)
      const overran = () => {
        if (listener !== mine) return
        settle({ _tag: "Overran", deadlineMs })
        kill()
      }
      const mine: Listener = {
        heard: (said) => {
          if (said._tag === "Cells") collector.add(said)
          else if (said._tag === "Done")
            settle({ _tag: "Answered", reading: collector.done(said), more: said.more })
          else if (said._tag === "Refusal") settle({ _tag: "Refused", kind: said.kind, reason: said.reason })
          else kill()
        },
        died: (how) => settle({ _tag: "Died", how }),
      }
      if (dead) return settle({ _tag: "Died", how: "it was gone before it was asked" })
      listener = mine
      child.stdin.write(encodeFrame(request))
      return Effect.sync(() => {
        clearTimeout(deadline)
        listener = null
        kill()
      })
    })

  /** Whoever may start another process has to know that this one is gone. */
  const end: Effect.Effect<void> = Effect.callback((done) => {
    if (dead) return done(Effect.void)
    whenDead.push(() => done(Effect.void))
    kill()
  })

  const late = setTimeout(kill, START_MS)
  listener = {
    heard: (said) => {
      if (said._tag !== "Ready") return kill()
      clearTimeout(late)
      listener = null
      resume(Effect.succeed({ pid: child.pid ?? 0, alive: () => !dead, ask, end }))
    },
    died: (how) => {
      clearTimeout(late)
      resume(Effect.fail(new ReaderUnavailable({ message: `no process can be started to read it (${how})` })))
    },
  }
  return Effect.suspend(() => {
    clearTimeout(late)
    listener = null
    return end
  })
})
