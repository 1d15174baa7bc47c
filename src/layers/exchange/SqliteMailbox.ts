/**
 * The mailbox on real files. It only composes: folders (`PairFolder`), the host's own file (`InboundWriter`), and processes that
 * read the container's file (`ReaderPool`). The daemon itself opens nothing that a container can write: it only asks lstat.
 */
import { Effect, Layer, Schedule } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import {
  type Glance,
  type GlanceProblem,
  Mailbox,
  MailboxError,
  type Pair,
  type ReadOptions,
  Unreadable,
} from "../../services/Mailbox.ts"
import { pairDir, pairPaths, sessionDir, tmpDir } from "../files/DataDirectory.ts"
import { makeTreeRemoval } from "../files/TreeRemoval.ts"
import { fileClockAheadMs, glance } from "../outbound/Glance.ts"
import {
  defaultReaderPoolOptions,
  Locked,
  makeReaderPool,
  type ReaderPoolOptions,
} from "../outbound/ReaderPool.ts"
import { makeReadings } from "../outbound/Readings.ts"
import * as InboundWriter from "./InboundWriter.ts"
import {
  insertCarryover,
  makeImages,
  makeSpares,
  placePair,
  removePairsBelow,
  ring,
  sweepTemporary,
} from "./PairFolder.ts"

/** A container's own commits hold their lock for less than a millisecond. */
const LOCKED_RETRIES = 5
const LOCKED_SCHEDULE = Schedule.spaced(4)
/** How long a look waits for a reading. A file takes a few milliseconds, starting a reader process some tens. */
const PATIENCE_MS = 250
const LEFT_OVER_MS = 10 * 60_000

const hostFailure = (what: string) => (error: unknown) =>
  new MailboxError({ message: `${what}: ${String(error)}` })

export interface SqliteMailboxOptions {
  readonly dataDir: string
  /** Processes and deadlines for reading containers' files; the defaults are stated in docs/exchange.md. */
  readonly readers?: Partial<ReaderPoolOptions>
  /** How long a caller waits for one reading before it is told that it is under way. */
  readonly patienceMs?: number
}

/** The container's side: looked at with lstat here, read by other processes. */
const makeOutbound = Effect.fnUntraced(function* (options: SqliteMailboxOptions, temporary: string) {
  const readers = yield* makeReaderPool({ ...defaultReaderPoolOptions, ...options.readers })
  const readings = yield* makeReadings(options.patienceMs ?? PATIENCE_MS)
  /** Directories whose last result came late. Their next stamp is made unique, so that the file is read again. */
  const late = new Set<string>()
  const aheadMs = yield* Effect.try(() => fileClockAheadMs(temporary)).pipe(Effect.orElseSucceed(() => 0))
  let lateLooks = 0

  /** Where a reader may roll back a dead container's open transaction. The daemon removes it, even if the reader crashes. */
  const privateDir = Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        await fs.promises.mkdir(temporary, { recursive: true, mode: 0o700 })
        return await fs.promises.mkdtemp(path.join(temporary, "read-"))
      },
      catch: (error) => new Unreadable({ message: `outbound.db can't be read now: ${String(error)}` }),
    }),
    (directory) => Effect.promise(() => fs.promises.rm(directory, { recursive: true, force: true })),
  )

  const once = Effect.fnUntraced(function* (outDir: string, { mode, seen }: ReadOptions) {
    const request = { outDir, privateDir: mode === "live" ? null : yield* privateDir, seen: [...seen] }
    return yield* readers.read(request).pipe(
      Effect.retry({
        times: LOCKED_RETRIES,
        schedule: LOCKED_SCHEDULE,
        while: (error) => error instanceof Locked,
      }),
    )
  }, Effect.scoped)

  return {
    glance: (outDir: string): Glance | GlanceProblem => {
      const seen = glance(outDir, Date.now() + aheadMs)
      return seen._tag === "Glance" && late.delete(outDir)
        ? { ...seen, stamp: `${seen.stamp}+${++lateLooks}` }
        : seen
    },
    read: Effect.fnUntraced(function* (outDir: string, options: ReadOptions) {
      const { mode } = options
      if (mode === "final") {
        yield* readings.forget(`live ${outDir}`)
        late.delete(outDir)
      }
      const answer = yield* readings.ask(`${mode} ${outDir}`, once(outDir, options))
      if (answer.came === "late" && mode === "live") late.add(outDir)
      return answer.reading
    }),
  }
})

const make = Effect.fnUntraced(function* (options: SqliteMailboxOptions) {
  const dataDir = path.resolve(options.dataDir)
  const temporary = tmpDir(dataDir)
  const images = makeImages()
  const outbound = yield* makeOutbound(options, temporary)
  const spares = yield* makeSpares(images, temporary)
  const locked = InboundWriter.makeLockedSince()
  const removal = yield* makeTreeRemoval(temporary)
  yield* Effect.promise(() => sweepTemporary(temporary, LEFT_OVER_MS))

  const inbound = (pair: Pair) => path.join(pairPaths(dataDir, pair).inDir, "inbound.db")

  return Mailbox.of({
    paths: (pair) => pairPaths(dataDir, pair),

    create: Effect.fn("Mailbox.create")(
      function* (pair, carry) {
        const spare = yield* spares.take
        const place = Effect.try(() =>
          placePair(spare, pairDir(dataDir, pair), insertCarryover(images.outbound, carry)),
        )
        yield* Effect.tapError(place, () => spares.remove(spare))
      },
      (effect, pair) =>
        Effect.mapError(effect, ({ cause }) =>
          hostFailure(`the exchange pair of ${pair.sessionId} can't be made`)(cause),
        ),
    ),

    revision: (pair) => InboundWriter.revision(inbound(pair)),

    project: Effect.fn("Mailbox.project")((pair, projection) =>
      locked
        .wait(inbound(pair), InboundWriter.project(inbound(pair), projection))
        .pipe(Effect.tap(() => Effect.sync(() => ring(pairPaths(dataDir, pair).inDir)))),
    ),

    glance: (pair) => outbound.glance(pairPaths(dataDir, pair).outDir),

    read: Effect.fn("Mailbox.read")((pair, mode) => outbound.read(pairPaths(dataDir, pair).outDir, mode)),

    removeBelow: Effect.fn("Mailbox.removeBelow")((session, below) =>
      Effect.try({
        try: () => {
          const directory = sessionDir(dataDir, session)
          locked.forgetBelow(directory)
          removePairsBelow(directory, below, removal.discard)
        },
        catch: hostFailure(`old exchange pairs of ${session.sessionId} can't be removed`),
      }),
    ),
  })
})

/**
 * Pairs under `<dataDir>/sessions/<group>/<session>/<incarnation>/{in,out}`. Leftovers of a crash in `<dataDir>/tmp` are removed
 * when the layer is built.
 */
export const layer = (options: SqliteMailboxOptions): Layer.Layer<Mailbox> =>
  Layer.effect(Mailbox, make(options))
