/**
 * Reads containers' files in a few reader processes, so that the daemon's own SQLite never opens one. Requests are served in order.
 * A file that exceeds the deadline or crashes its reader is read once more, in a fresh process, with more time and in a separate lane:
 * a slow machine must not look like an attack, and hostile sessions should delay only each other.
 */
import { Effect, Exit, type Scope, Semaphore } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { Quarantined, type Reading, Unreadable } from "../../services/Mailbox.ts"
import { joinReadings } from "./OutboundReading.ts"
import type { ReaderRequest } from "./ReaderFrames.ts"
import { type Exchange, type ReaderProcess, startReader } from "./ReaderProcess.ts"

/** The writer holds a lock that excludes readers. Try again within milliseconds. */
export class Locked extends Unreadable {}

/** More parts than the largest file has, because its writer may add to it meanwhile. */
const MOST_PARTS = 32

export interface ReaderPoolOptions {
  /** Concurrent reader processes, not counting the one in the slow lane. */
  readonly readers: number
  readonly deadlineMs: number
  /** For second readings and for the later parts of a large file. The watchdog's limit is well above it. */
  readonly slowDeadlineMs: number
}

export const defaultReaderPoolOptions: ReaderPoolOptions = {
  readers: 2,
  deadlineMs: 500,
  slowDeadlineMs: 4_000,
}

export interface ReaderPool {
  /** Reads in parts, so that a large file meets the deadline too and other files get their turn in between. */
  readonly read: (request: Omit<ReaderRequest, "from">) => Effect.Effect<Reading, Unreadable | Quarantined>
  /** Process ids of the readers that are alive. */
  readonly pids: Effect.Effect<ReadonlyArray<number>>
}

/** Larger files share the slow lane, so that only they wait for each other. An honest container rarely writes a tenth of this. */
const LARGE_BYTES = 4 * 1024 * 1024

const isLarge = (outDir: string): boolean => {
  try {
    return fs.lstatSync(path.join(outDir, "outbound.db")).size > LARGE_BYTES
  } catch {
    return false
  }
}

type Answered = Extract<Exchange, { readonly _tag: "Answered" }>
type Fatal = Extract<Exchange, { readonly _tag: "Overran" | "Died" }>

const whatHappened = (exchange: Fatal): string =>
  exchange._tag === "Overran"
    ? `took longer than ${exchange.deadlineMs} ms`
    : `ended its reader (${exchange.how})`

/** The caller's answer, or the reason to suspect the file. */
const settle = (exchange: Exchange): Effect.Effect<Answered, Unreadable | Quarantined | SuspectFile> => {
  switch (exchange._tag) {
    case "Answered":
      return Effect.succeed(exchange)
    case "Refused":
      if (exchange.kind === "quarantined") return Effect.fail(new Quarantined({ reason: exchange.reason }))
      return Effect.fail(
        exchange.kind === "locked"
          ? new Locked({ message: exchange.reason })
          : new Unreadable({ message: exchange.reason }),
      )
    case "Overran":
    case "Died":
      return Effect.fail(new SuspectFile(whatHappened(exchange)))
  }
}

/** Never leaves this module. */
class SuspectFile {
  readonly _tag = "SuspectFile"
  readonly why: string

  constructor(why: string) {
    this.why = why
  }
}

/** The living processes and the idle ones among them. All end with the scope. */
const makeStock = Effect.gen(function* () {
  const living = new Set<ReaderProcess>()
  const idle: Array<ReaderProcess> = []
  yield* Effect.addFinalizer(() =>
    Effect.forEach([...living], ({ end }) => end, { discard: true, concurrency: "unbounded" }),
  )
  const start = Effect.tap(startReader, (reader) => Effect.sync(() => void living.add(reader))).pipe(
    Effect.mapError(({ message }) => new Unreadable({ message })),
  )
  const take = Effect.suspend(() => {
    for (let reader = idle.pop(); reader !== undefined; reader = idle.pop()) {
      if (reader.alive()) return Effect.succeed(reader)
      living.delete(reader)
    }
    return start
  })
  const giveBack = (reader: ReaderProcess) =>
    Effect.sync(() => void (reader.alive() ? idle.push(reader) : living.delete(reader)))
  const dismiss = (reader: ReaderProcess) =>
    Effect.andThen(
      reader.end,
      Effect.sync(() => void living.delete(reader)),
    )
  const pids = Effect.sync(() => [...living].filter((reader) => reader.alive()).map(({ pid }) => pid))
  return { start, take, giveBack, dismiss, pids }
})

/** The common lane, and the slow lane for suspects and large files. A suspect is read once more, alone. */
const makeLanes = Effect.fnUntraced(function* (options: ReaderPoolOptions) {
  const stock = yield* makeStock
  const permits = yield* Semaphore.make(options.readers)
  const slow = yield* Semaphore.make(1)
  const suspect = (why: string) => Effect.fail(new Quarantined({ reason: `reading outbound.db ${why}` }))

  /** Uses a process that reads other files too. */
  const among = (lane: Semaphore.Semaphore, request: ReaderRequest, deadlineMs: number) =>
    lane
      .withPermit(
        Effect.acquireUseRelease(
          Effect.interruptible(stock.take),
          (reader) => reader.ask(request, deadlineMs),
          (reader, exit) =>
            Exit.isSuccess(exit) && exit.value._tag !== "Overran" && exit.value._tag !== "Died"
              ? stock.giveBack(reader)
              : stock.dismiss(reader),
        ),
      )
      .pipe(Effect.flatMap(settle))

  const again = (request: ReaderRequest) =>
    slow
      .withPermit(
        Effect.acquireUseRelease(
          Effect.interruptible(stock.start),
          (reader) => reader.ask(request, options.slowDeadlineMs),
          stock.dismiss,
        ),
      )
      .pipe(Effect.flatMap(settle))

  const first = (request: ReaderRequest): Effect.Effect<Answered, Unreadable | Quarantined> =>
    among(isLarge(request.outDir) ? slow : permits, request, options.deadlineMs).pipe(
      Effect.catchTag("SuspectFile", ({ why }) =>
        Effect.logWarning(`reading ${request.outDir} ${why}; it is read once more, alone`).pipe(
          Effect.andThen(again(request)),
          Effect.catchTag("SuspectFile", (second) => suspect(`${why}, and again alone it ${second.why}`)),
        ),
      ),
    )

  /** Later parts go through the slow lane, which only large files and suspects use. */
  const later = (request: ReaderRequest): Effect.Effect<Answered, Unreadable | Quarantined> =>
    among(slow, request, options.slowDeadlineMs).pipe(
      Effect.catchTag("SuspectFile", ({ why }) => suspect(why)),
    )

  const one = permits.withPermit(Effect.tap(stock.start, stock.giveBack)).pipe(Effect.ignore)
  yield* Effect.forkScoped(
    Effect.replicateEffect(one, options.readers, { concurrency: "unbounded", discard: true }),
  )
  return { first, later, pids: stock.pids }
})

/** The processes of the common lane start at once, so that no look waits for a start, and all end with the scope. */
export const makeReaderPool = Effect.fnUntraced(function* (
  options: ReaderPoolOptions,
): Effect.fn.Return<ReaderPool, never, Scope.Scope> {
  const { first, later, pids } = yield* makeLanes(options)
  const read: ReaderPool["read"] = Effect.fnUntraced(function* (request) {
    let { more, reading } = yield* first({ ...request, from: null })
    for (let parts = 1; more !== null; parts++) {
      if (parts === MOST_PARTS) return { ...reading, outgrown: true }
      const part: Answered = yield* later({ ...request, from: more })
      reading = joinReadings(reading, part.reading)
      more = part.more
    }
    return reading
  })
  return { read, pids }
})
