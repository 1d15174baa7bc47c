/**
 * The mailbox on real files. It only composes: folders (`PairFolder`), the host's own file (`InboundWriter`), a private copy of
 * the container's file (`OutboundCopy`) and what can be read from it (`OutboundReader`).
 */
import { Effect, Layer, RcMap, Schedule, Semaphore } from "effect"
import * as path from "node:path"
import { Mailbox, MailboxError, type Pair, Quarantined, Unreadable } from "../../services/Mailbox.ts"
import { pairDir, pairPaths, sessionDir, tmpDir } from "../files/DataDirectory.ts"
import * as InboundWriter from "./InboundWriter.ts"
import { checkDirectory, copyFinal, copyLive, Locked } from "./OutboundCopy.ts"
import { readImage } from "./OutboundReader.ts"
import { createPair, glance, makeImages, removePairsBelow, sweepTemporary } from "./PairFolder.ts"

/** Copies in memory at the same time: each can be as large as a file may be. */
const CONCURRENT_READS = 4
/** A container's own commits hold their lock for less than a millisecond. */
const LOCKED_RETRIES = 5
const LOCKED_SCHEDULE = Schedule.spaced(4)
const LEFT_OVER_MS = 10 * 60_000

const readFailure = (error: unknown): Unreadable | Quarantined =>
  error instanceof Unreadable || error instanceof Quarantined
    ? error
    : new Unreadable({ message: `outbound.db can't be read now: ${String(error)}` })

const hostFailure = (what: string) => (error: unknown) =>
  new MailboxError({ message: `${what}: ${String(error)}` })

const make = Effect.fnUntraced(function* (options: { readonly dataDir: string }) {
  const dataDir = path.resolve(options.dataDir)
  const temporary = tmpDir(dataDir)
  const images = makeImages()
  const reads = yield* Semaphore.make(CONCURRENT_READS)
  const files = yield* RcMap.make({ lookup: (_outDir: string) => Semaphore.make(1) })
  yield* Effect.promise(() => sweepTemporary(temporary, LEFT_OVER_MS))

  const inbound = (pair: Pair) => path.join(pairPaths(dataDir, pair).inDir, "inbound.db")

  /** Closing a descriptor drops the process's locks on that file, so one file is copied by one fiber at a time, to its end. */
  const alone = <A, E>(outDir: string, effect: Effect.Effect<A, E>) =>
    Effect.scoped(
      Effect.flatMap(RcMap.get(files, outDir), (file) =>
        file.withPermit(reads.withPermit(Effect.uninterruptible(effect))),
      ),
    )

  return Mailbox.of({
    paths: (pair) => pairPaths(dataDir, pair),

    create: Effect.fn("Mailbox.create")((pair, carry) =>
      Effect.tryPromise({
        try: () => createPair(images, { pairDir: pairDir(dataDir, pair), tmpDir: temporary }, carry),
        catch: hostFailure(`the exchange pair of ${pair.sessionId} can't be made`),
      }),
    ),

    revision: (pair) => InboundWriter.revision(inbound(pair)),

    project: Effect.fn("Mailbox.project")((pair, projection) =>
      InboundWriter.project(inbound(pair), projection),
    ),

    glance: (pair) => Effect.try({ try: () => glance(pairPaths(dataDir, pair).outDir), catch: readFailure }),

    read: Effect.fn("Mailbox.read")(function* (pair, { mode, seen }) {
      const { outDir } = pairPaths(dataDir, pair)
      const file = path.join(outDir, "outbound.db")
      const copy = Effect.tryPromise({
        try: () => {
          checkDirectory(outDir)
          return mode === "live" ? copyLive(file) : copyFinal(file, temporary)
        },
        catch: readFailure,
      })
      const image = yield* alone(outDir, copy).pipe(
        Effect.retry({
          times: LOCKED_RETRIES,
          schedule: LOCKED_SCHEDULE,
          while: (error) => error instanceof Locked,
        }),
      )
      return yield* Effect.try({ try: () => readImage(image, seen), catch: readFailure })
    }),

    removeBelow: Effect.fn("Mailbox.removeBelow")((session, below) =>
      Effect.tryPromise({
        try: () => removePairsBelow(sessionDir(dataDir, session), below),
        catch: hostFailure(`old exchange pairs of ${session.sessionId} can't be removed`),
      }),
    ),
  })
})

/**
 * Pairs under `<dataDir>/sessions/<group>/<session>/<incarnation>/{in,out}`. Leftovers of a crash in `<dataDir>/tmp` are removed
 * when the layer is built.
 */
export const layer = (options: { readonly dataDir: string }): Layer.Layer<Mailbox> =>
  Layer.effect(Mailbox, make(options))
