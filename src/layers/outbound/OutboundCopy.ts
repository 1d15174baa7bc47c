/**
 * Takes a private, consistent copy of an outbound.db into memory. Runs in the reader process: the file belongs to a container and may
 * be a link, a FIFO, locked, huge or half-written, so nothing is opened before lstat has seen it, everything is opened below a
 * descriptor of the directory, and nothing is opened for writing in place. If it hangs all the same, the deadline ends it.
 *
 * Closing any descriptor of a file drops every lock that this process holds on it: the SQLite connection is therefore closed
 * before the descriptor, and a reader process copies one file at a time.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import { PAGE_BYTES } from "../exchange/ExchangeSchema.ts"
import { checkHeader } from "./OutboundImage.ts"
import { OutboundLimits } from "./OutboundLimits.ts"
import { OutboundRefusal, quarantine } from "./OutboundRefusal.ts"

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants

const JOURNAL_MAGIC = Buffer.from("d9d505f920a163d7", "hex")
/** Linux shows a process's descriptors as paths here. Other systems only have the plain path. */
const DESCRIPTORS = "/proc/self/fd"

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""

/** A name that changed between two calls was changed by the container. Any other error is the host's and may pass. */
const opened = (name: string, open: () => number): number => {
  try {
    return open()
  } catch (error) {
    if (["ELOOP", "ENOTDIR", "ENXIO", "EISDIR"].includes(codeOf(error)))
      return quarantine(`${name} was replaced while it was opened`)
    throw new OutboundRefusal("unreadable", `${name} can't be opened: ${String(error)}`)
  }
}

/** Opens a regular file of one link and at most `fileBytes`, without following a link or waiting for a FIFO. */
const openHostile = (file: string): { readonly fd: number; readonly stat: fs.Stats } => {
  const name = path.basename(file)
  const standing = fs.lstatSync(file, { throwIfNoEntry: false })
  if (standing === undefined) return quarantine(`${name} is missing`)
  if (!standing.isFile()) return quarantine(`${name} is not a regular file`)
  const fd = opened(name, () => fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK))
  try {
    const stat = fs.fstatSync(fd)
    if (!stat.isFile() || stat.nlink !== 1)
      return quarantine(`${name} is not a regular file with one name of its own`)
    if (stat.size > OutboundLimits.fileBytes)
      return quarantine(`${name} is larger than ${OutboundLimits.fileBytes} bytes`)
    return { fd, stat }
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}

const readWhole = (fd: number, bytes: number): Buffer => {
  const image = Buffer.allocUnsafe(bytes)
  let filled = 0
  while (filled < bytes) {
    const got = fs.readSync(fd, image, filled, bytes - filled, filled)
    if (got === 0) throw new OutboundRefusal("unreadable", "outbound.db shrank while it was read")
    filled += got
  }
  return image
}

/** Whether a rollback journal with content stands beside the file. Anything else that SQLite would open is refused. */
const checkCompanions = (file: string): "none" | "journal" => {
  for (const suffix of ["-wal", "-shm"])
    if (fs.lstatSync(file + suffix, { throwIfNoEntry: false }) !== undefined)
      quarantine(`outbound.db${suffix} exists, and WAL is not allowed across the mount`)
  const journal = fs.lstatSync(`${file}-journal`, { throwIfNoEntry: false })
  if (journal === undefined) return "none"
  if (!journal.isFile()) quarantine("outbound.db-journal is not a regular file")
  return journal.size > 0 ? "journal" : "none"
}

/** Takes a SHARED lock without waiting and without parsing the schema. */
const lockShared = (file: string): Database.Database => {
  let connection: Database.Database | undefined
  try {
    connection = new Database(file, { readonly: true, fileMustExist: true, timeout: 0 })
    connection.exec("BEGIN")
    connection.pragma("user_version")
    return connection
  } catch (error) {
    connection?.close()
    const code = codeOf(error)
    if (code.startsWith("SQLITE_BUSY"))
      throw new OutboundRefusal("locked", "outbound.db is locked by its writer")
    if (code.startsWith("SQLITE_READONLY") || code.startsWith("SQLITE_CANTOPEN"))
      throw new OutboundRefusal(
        "unreadable",
        "outbound.db has a hot journal; its writer has to roll it back first",
      )
    if (code === "SQLITE_NOTADB" || code.startsWith("SQLITE_CORRUPT"))
      return quarantine("outbound.db is not a database that SQLite can read")
    throw new OutboundRefusal("unreadable", `outbound.db can't be read now: ${String(error)}`)
  }
}

/** A copy of the file as its last committed transaction left it, while a container may be writing. */
const copyLive = (file: string): Buffer => {
  const { fd, stat } = openHostile(file)
  try {
    const header = Buffer.alloc(100)
    fs.readSync(fd, header, 0, header.length, 0)
    checkHeader(header)
    checkCompanions(file)
    const connection = lockShared(file)
    try {
      const now = fs.lstatSync(file, { throwIfNoEntry: false })
      if (now === undefined || now.dev !== stat.dev || now.ino !== stat.ino)
        quarantine("outbound.db was replaced while it was opened")
      const { size } = fs.fstatSync(fd)
      if (size > OutboundLimits.fileBytes)
        quarantine(`outbound.db is larger than ${OutboundLimits.fileBytes} bytes`)
      return readWhole(fd, size)
    } finally {
      connection.close()
    }
  } finally {
    fs.closeSync(fd)
  }
}

/** Reads a whole hostile file that nobody writes any more. */
const readDead = (file: string): Buffer => {
  const { fd, stat } = openHostile(file)
  try {
    return readWhole(fd, stat.size)
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * Whether the journal holds something to roll back, and if so that it is one the host's schema could have: a journal names the
 * size that the file shall have afterwards. The name of a super-journal at its end would have SQLite open a file of the
 * container's choice, so it is blanked.
 */
const prepareJournal = (journal: Buffer): boolean => {
  if (journal.length < 28 || !journal.subarray(0, 8).equals(JOURNAL_MAGIC)) return false
  if (journal.readUInt32BE(24) !== PAGE_BYTES)
    quarantine("outbound.db-journal is of another page size than the database")
  if (journal.readUInt32BE(16) > OutboundLimits.fileBytes / PAGE_BYTES)
    quarantine("outbound.db-journal restores a file beyond the size limit")
  if (journal.subarray(-8).equals(JOURNAL_MAGIC)) journal.fill(0, journal.length - 8)
  return true
}

/** A copy of the file of a container whose death is confirmed: a transaction that it left open is rolled back on the copy. */
const copyFinal = (file: string, privateDir: string): Buffer => {
  if (checkCompanions(file) === "none") return copyLive(file)
  const journal = readDead(`${file}-journal`)
  const image = readDead(file)
  if (!prepareJournal(journal)) return image
  checkHeader(image)
  const copy = path.join(fs.mkdtempSync(path.join(privateDir, "part-")), "outbound.db")
  fs.writeFileSync(copy, image, { flag: "wx", mode: 0o600 })
  fs.writeFileSync(`${copy}-journal`, journal, { flag: "wx", mode: 0o600 })
  rollBack(copy)
  return readDead(copy)
}

const rollBack = (file: string): void => {
  const connection = new Database(file, { fileMustExist: true, timeout: 0 })
  try {
    connection.pragma("synchronous = OFF")
    connection.pragma("user_version")
  } catch (error) {
    quarantine(`outbound.db-journal can't be rolled back: ${String(error)}`)
  } finally {
    connection.close()
  }
}

/**
 * A copy of `outDir`'s outbound.db. With `privateDir`, a directory that is the caller's, the container counts as dead and what
 * it left half-done is rolled back there; without, the container may be writing. Throws a refusal.
 */
export const copyOutbound = (outDir: string, privateDir: string | null): Buffer => {
  const standing = fs.lstatSync(outDir, { throwIfNoEntry: false })
  if (standing === undefined || !standing.isDirectory())
    return quarantine("the out directory is missing or is not a directory")
  const directory = opened("the out directory", () =>
    fs.openSync(outDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
  )
  try {
    const below = process.platform === "linux" ? `${DESCRIPTORS}/${directory}` : outDir
    const file = `${below}/outbound.db`
    return privateDir === null ? copyLive(file) : copyFinal(file, privateDir)
  } finally {
    fs.closeSync(directory)
  }
}
