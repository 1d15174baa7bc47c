/**
 * The folder of one exchange pair: made whole or not at all, removed without following a link. `out/` belongs to a container from
 * the moment it starts; the host never opens anything in it for writing again.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import { formatExchangeTime } from "../../domain/ExchangeTime.ts"
import type { IncarnationNumber } from "../../domain/Ids.ts"
import type { Carryover } from "../../services/Mailbox.ts"
import { imageOf, INBOUND_SQL, OUTBOUND_SQL } from "./ExchangeSchema.ts"

/** The bytes that every new pair starts from. */
export interface PairImages {
  readonly inbound: Buffer
  readonly outbound: Buffer
}

export const makeImages = (): PairImages => ({
  inbound: imageOf(INBOUND_SQL),
  outbound: imageOf(OUTBOUND_SQL),
})

const insertCarryover = (image: Buffer, carry: Carryover): Buffer => {
  if (carry.sessionState.length === 0 && carry.outbound.length === 0) return image
  const database = new Database(image)
  try {
    const at = formatExchangeTime(carry.createdAt)
    const state = database.prepare("INSERT INTO session_state (key, value, updated_at) VALUES (?, ?, ?)")
    const outbound = database.prepare(
      `INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, platform_id, channel_type, thread_id, content)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    database.exec("BEGIN")
    for (const { key, value } of carry.sessionState) state.run(key, value, at)
    for (const row of carry.outbound)
      outbound.run(
        row.id,
        row.seq,
        row.inReplyTo,
        formatExchangeTime(row.timestampMs),
        row.kind,
        row.platformId,
        row.channelType,
        row.threadId,
        row.content,
      )
    database.exec("COMMIT")
    return database.serialize()
  } finally {
    database.close()
  }
}

const NOTHING = Buffer.alloc(0)

/**
 * Rings for the container: a runner that watches the file looks at inbound.db at once. Without a container that hears it, or with a pair
 * of an older version, nothing happens. Never follows a link: where nothing is mounted, an agent may have put one there.
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

/** Does it; where a folder on the way is missing, makes that and does it again. What is there is not made. */
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
 * Makes the pair beside its place and moves it there in one rename, so that a crash leaves no half of one. Mount points for
 * what is nested in `/workspace` exist, so that an engine does not make them as root; the two links point into the
 * container's `/workspace/in`. Synchronous: some fifteen calls of microseconds each, none of which waits for a disk, while each trip
 * through a thread of the pool costs more than the call.
 */
export const createPair = (
  images: PairImages,
  places: { readonly pairDir: string; readonly tmpDir: string },
  carry: Carryover,
): void => {
  const outbound = insertCarryover(images.outbound, carry)
  const staging = within(places.tmpDir, () => fs.mkdtempSync(path.join(places.tmpDir, "pair-")))
  const file = (name: string, bytes: Buffer) =>
    fs.writeFileSync(path.join(staging, name), bytes, { flag: "wx", mode: 0o600 })
  try {
    for (const name of ["in", "out", "in/inbox", "out/outbox", "out/in", "out/agent", "out/global"])
      fs.mkdirSync(path.join(staging, name), { mode: 0o700 })
    for (const name of ["inbound.db", "inbox"]) fs.symlinkSync(`in/${name}`, path.join(staging, "out", name))
    file("in/inbound.db", images.inbound)
    file("in/.bell", NOTHING)
    file("out/outbound.db", outbound)
    within(path.dirname(places.pairDir), () => fs.renameSync(staging, places.pairDir))
  } catch (error) {
    fs.rmSync(staging, { recursive: true, force: true })
    if (isCode(error, "ENOTEMPTY", "EEXIST", "ENOTDIR"))
      throw new Error(`${places.pairDir} exists already; every incarnation needs a pair of its own`, {
        cause: error,
      })
    throw error
  }
}

/** Discards the pairs below a number. Only folders named like an incarnation are touched. */
export const removePairsBelow = async (
  sessionDir: string,
  below: IncarnationNumber,
  discard: (pairDir: string) => void,
): Promise<void> => {
  const stat = fs.lstatSync(sessionDir, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isDirectory()) throw new Error(`${sessionDir} is not a directory`)
  for (const name of await fs.promises.readdir(sessionDir))
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
