/**
 * The folder of one exchange pair: made whole or not at all, removed without following a link. `out/` belongs to a container from
 * the moment it starts; the host never opens anything in it for writing again.
 */
import Database from "better-sqlite3"
import { Effect, Queue } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { formatExchangeTime } from "../../domain/ExchangeTime.ts"
import type { IncarnationNumber } from "../../domain/Ids.ts"
import type { Carryover } from "../../services/Mailbox.ts"
import { imageOf, INBOUND_SQL, insertSql, OUTBOUND_SQL } from "./ExchangeSchema.ts"

/** The bytes that every new pair starts from. */
export const makeImages = () => ({ inbound: imageOf(INBOUND_SQL), outbound: imageOf(OUTBOUND_SQL) })
type PairImages = ReturnType<typeof makeImages>

/** The bytes of outbound.db with what is carried over; null when nothing is. */
export const insertCarryover = (image: Buffer, carry: Carryover): Buffer | null => {
  if (carry.sessionState.length === 0 && carry.outbound.length === 0) return null
  const database = new Database(image)
  try {
    const at = formatExchangeTime(carry.createdAt)
    const state = database.prepare(insertSql("session_state"))
    const outbound = database.prepare(insertSql("messages_out"))
    database.exec("BEGIN")
    for (const row of carry.sessionState) state.run({ ...row, updatedAt: at })
    for (const row of carry.outbound)
      outbound.run({
        ...row,
        timestamp: formatExchangeTime(row.timestampMs),
        deliverAfter: null,
        recurrence: null,
      })
    database.exec("COMMIT")
    return database.serialize()
  } finally {
    database.close()
  }
}

const NOTHING = Buffer.alloc(0)

/**
 * Rings for the container: a runner that watches the file reads inbound.db at once. Does nothing for a pair of an older version. Never
 * follows a link, because an agent may have put one there where nothing is mounted.
 */
export const ring = (inDir: string): void => {
  const now = new Date()
  try {
    fs.lutimesSync(path.join(inDir, ".bell"), now, now)
  } catch {
    // The runner's poll finds what is new.
  }
}

const isCode = (error: unknown, ...codes: ReadonlyArray<string>): boolean =>
  error instanceof Error && "code" in error && codes.includes(String(error.code))

/** Attempts it; only if a folder on the way is missing, makes the folder and tries again. */
const within = <A>(folder: string, attempt: () => A): A => {
  try {
    return attempt()
  } catch (error) {
    if (!isCode(error, "ENOENT")) throw error
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
    return attempt()
  }
}

/**
 * A pair with nothing carried over, in the folder for temporary files. Mount points for what is nested in `/workspace` exist, so that an
 * engine does not make them as root; the two links point into the container's `/workspace/in`.
 */
const makeSpare = async (images: PairImages, tmpDir: string): Promise<string> => {
  await fs.promises.mkdir(tmpDir, { recursive: true, mode: 0o700 })
  const staging = await fs.promises.mkdtemp(path.join(tmpDir, "pair-"))
  const place = (name: string): string => path.join(staging, name)
  const folder = (name: string) => fs.promises.mkdir(place(name), { mode: 0o700 })
  const link = (name: string, target: string) => fs.promises.symlink(target, place(name))
  const file = (name: string, bytes: Buffer) =>
    fs.promises.writeFile(place(name), bytes, { flag: "wx", mode: 0o600 })
  try {
    await Promise.all(["in", "out"].map(folder))
    await Promise.all([
      ...["in/inbox", "out/outbox", "out/in", "out/agent", "out/global"].map(folder),
      link("out/inbound.db", "in/inbound.db"),
      link("out/inbox", "in/inbox"),
      file("in/inbound.db", images.inbound),
      file("in/.bell", NOTHING),
      file("out/outbound.db", images.outbound),
    ])
    return staging
  } catch (error) {
    // Another part may still be in progress; what remains is removed with the leftovers of crashes.
    await fs.promises.rm(staging, { recursive: true, force: true }).catch(() => {})
    throw error
  }
}

/** Pairs kept ready for the next wakes. */
const SPARES = 8

/**
 * Makes pairs in advance, because making folders is slow while others write to the disk. A wake only moves one into place. They are
 * made from the start on, the end of the scope removes what is left, and after a crash the next daemon does.
 */
export const makeSpares = Effect.fnUntraced(function* (images: PairImages, tmpDir: string) {
  const ready: Array<string> = []
  const wanted = yield* Queue.sliding<true>(1)
  Queue.offerUnsafe(wanted, true)
  const make = Effect.tryPromise(() => makeSpare(images, tmpDir))
  const remove = (spare: string) =>
    Effect.promise(() => fs.promises.rm(spare, { recursive: true, force: true }).catch(() => {}))
  yield* Effect.addFinalizer(() => Effect.forEach(ready.splice(0), remove, { discard: true }))
  yield* Effect.gen(function* () {
    yield* Queue.take(wanted)
    // Errors, such as a full disk, are reported by the wake that needs the pair.
    while (ready.length < SPARES) ready.push(yield* make)
  }).pipe(Effect.ignore, Effect.forever, Effect.forkScoped)
  const take = Effect.suspend(() => {
    const spare = ready.pop()
    Queue.offerUnsafe(wanted, true)
    return spare === undefined ? make : Effect.succeed(spare)
  })
  return { take, remove }
})

/** Moves a spare to its place in one rename, so that a crash leaves no half of one. */
export const placePair = (spare: string, pairDir: string, outbound: Buffer | null): void => {
  if (outbound !== null) fs.writeFileSync(path.join(spare, "out/outbound.db"), outbound, { mode: 0o600 })
  try {
    within(path.dirname(pairDir), () => fs.renameSync(spare, pairDir))
  } catch (error) {
    if (!isCode(error, "ENOTEMPTY", "EEXIST", "ENOTDIR")) throw error
    throw new Error(`${pairDir} exists already; every incarnation needs a pair of its own`, { cause: error })
  }
}

/** Discards the pairs below a number. Only folders named like an incarnation are touched. */
export const removePairsBelow = (
  sessionDir: string,
  below: IncarnationNumber,
  discard: (pairDir: string) => void,
): void => {
  const stat = fs.lstatSync(sessionDir, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isDirectory()) throw new Error(`${sessionDir} is not a directory`)
  for (const name of fs.readdirSync(sessionDir))
    if (/^(?:0|[1-9]\d{0,9})$/.test(name) && Number(name) < below) discard(path.join(sessionDir, name))
}

/** Removes what a crash left in the folder for temporary files, old enough that nobody can be using it. */
export const sweepTemporary = async (tmpDir: string, olderThanMs: number): Promise<void> => {
  const names = await fs.promises.readdir(tmpDir).catch(() => [])
  for (const name of names) {
    if (!/^(?:pair|read)-/.test(name)) continue
    const place = path.join(tmpDir, name)
    const stat = fs.lstatSync(place, { throwIfNoEntry: false })
    if (stat !== undefined && Date.now() - stat.mtimeMs > olderThanMs)
      await fs.promises.rm(place, { recursive: true, force: true })
  }
}
