/**
 * Takes a private, consistent copy of an outbound.db into memory. The file belongs to a container: it may be a link, a FIFO,
 * locked, huge or half-written, so nothing is opened before lstat has seen it, nothing is opened for writing where it stands,
 * and no wait for a lock blocks the event loop.
 *
 * Closing any descriptor of a file drops every lock that this process holds on it: the SQLite connection is therefore closed
 * before the descriptor, and a file is copied by one caller at a time.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import { Quarantined, Unreadable } from "../../services/Mailbox.ts"
import { PAGE_BYTES } from "./ExchangeSchema.ts"
import { checkHeader } from "./OutboundImage.ts"
import { OutboundLimits } from "./OutboundLimits.ts"

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants
const readAsync = promisify(fs.read)

/** Up to this size a read from the page cache costs less than a trip through the thread pool. */
const SYNC_READ_BYTES = 256 * 1024
const CHUNK_BYTES = 4 * 1024 * 1024
const JOURNAL_MAGIC = Buffer.from("d9d505f920a163d7", "hex")

/** Somebody holds a lock that excludes readers; worth another try within milliseconds. */
export class Locked extends Unreadable {}

const quarantine = (reason: string): never => {
  throw new Quarantined({ reason })
}

/** Opens a regular file of one link and at most `fileBytes`, without following a link or waiting for a FIFO. */
const openHostile = (file: string): { readonly fd: number; readonly stat: fs.Stats } => {
  const name = path.basename(file)
  const standing = fs.lstatSync(file, { throwIfNoEntry: false })
  if (standing === undefined) return quarantine(`${name} is missing`)
  if (!standing.isFile()) return quarantine(`${name} is not a regular file`)
  const fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
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

const readWhole = async (fd: number, bytes: number): Promise<Buffer> => {
  const image = Buffer.allocUnsafe(bytes)
  let filled = 0
  while (filled < bytes) {
    const length = Math.min(bytes - filled, CHUNK_BYTES)
    const got =
      bytes <= SYNC_READ_BYTES
        ? fs.readSync(fd, image, filled, length, filled)
        : (await readAsync(fd, image, filled, length, filled)).bytesRead
    if (got === 0) throw new Unreadable({ message: "outbound.db shrank while it was read; try again" })
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

const sqliteCode = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""

/** Takes a SHARED lock without waiting and without parsing the schema. */
const lockShared = (file: string): Database.Database => {
  const connection = new Database(file, { readonly: true, fileMustExist: true, timeout: 0 })
  try {
    connection.exec("BEGIN")
    connection.pragma("user_version")
    return connection
  } catch (error) {
    connection.close()
    const code = sqliteCode(error)
    if (code.startsWith("SQLITE_BUSY")) throw new Locked({ message: "outbound.db is locked by its writer" })
    if (code.startsWith("SQLITE_READONLY") || code.startsWith("SQLITE_CANTOPEN"))
      throw new Unreadable({ message: "outbound.db has a hot journal; its writer has to roll it back first" })
    if (code === "SQLITE_NOTADB" || code.startsWith("SQLITE_CORRUPT"))
      return quarantine("outbound.db is not a database that SQLite can read")
    throw new Unreadable({ message: `outbound.db can't be read now: ${String(error)}` })
  }
}

/** A copy of the file as its last committed transaction left it, while a container may be writing. */
export const copyLive = async (file: string): Promise<Buffer> => {
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
      return await readWhole(fd, size)
    } finally {
      connection.close()
    }
  } finally {
    fs.closeSync(fd)
  }
}

/** Reads a whole hostile file that nobody writes any more. */
const readDead = async (file: string): Promise<Buffer> => {
  const { fd, stat } = openHostile(file)
  try {
    return await readWhole(fd, stat.size)
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
export const copyFinal = async (file: string, privateParent: string): Promise<Buffer> => {
  if (checkCompanions(file) === "none") return copyLive(file)
  const journal = await readDead(`${file}-journal`)
  if (!prepareJournal(journal)) return copyLive(file)
  const image = await readDead(file)
  checkHeader(image)
  await fs.promises.mkdir(privateParent, { recursive: true, mode: 0o700 })
  const directory = await fs.promises.mkdtemp(path.join(privateParent, "read-"))
  try {
    const copy = path.join(directory, "outbound.db")
    await fs.promises.writeFile(copy, image, { flag: "wx", mode: 0o600 })
    await fs.promises.writeFile(`${copy}-journal`, journal, { flag: "wx", mode: 0o600 })
    rollBack(copy)
    return await readDead(copy)
  } finally {
    await fs.promises.rm(directory, { recursive: true, force: true })
  }
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

/** Refuses a directory that is a link or gone; the files in it are checked one by one. */
export const checkDirectory = (directory: string): void => {
  const stat = fs.lstatSync(directory, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isDirectory())
    quarantine("the out directory is missing or is not a directory")
  fs.closeSync(fs.openSync(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
}
