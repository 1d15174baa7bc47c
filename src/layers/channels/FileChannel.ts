/**
 * Channel `file`: JSON lines appended to one file, each on the disk before it counts as sent. Appends are serialised. A line that
 * a crash or a full disk cut short is closed with a newline by the next append, so it spoils nothing but itself: readers skip
 * what does not parse, and know repeats by `deliveryId`.
 */
import { Clock, Effect } from "effect"
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { dirname } from "node:path"
import type { Delivery } from "../../domain/Delivery.ts"
import { type Channel, ChannelError } from "../../services/Channels.ts"
import { makeFolder } from "../files/PrivateFolder.ts"
import { encodeWithContent } from "./DeliveryContent.ts"

export const DEFAULT_FILE_MAX_BYTES = 1024 ** 3

/** How long one append may take; a network file system can hang. */
const APPEND_LIMIT_MS = 30_000

const NEWLINE = 0x0a

/** Errors that no later try cures without an operator. Everything else (disk full, I/O error, descriptors) is transient. */
const permanentCode = /^E(?:ACCES|EXIST|INVAL|ISDIR|LOOP|NAMETOOLONG|NOENT|NOTDIR|NXIO|PERM|ROFS)$/

export interface FileChannelOptions {
  readonly name: string
  /** Absolute. Its directory is made when it is missing. */
  readonly path: string
  /** Above this size appends are refused until somebody moves the file away. */
  readonly maxBytes: number
}

/** One line, without the newline. `at` is when it was written, as ISO 8601 in UTC. */
export const fileLine = (delivery: Delivery, atMs: number): string => {
  const { channelType, id: deliveryId, inReplyTo, kind, platformId, sessionId, threadId } = delivery
  const at = new Date(atMs).toISOString()
  const envelope = { deliveryId, sessionId, inReplyTo, kind, channelType, platformId, threadId, at }
  return encodeWithContent(envelope, delivery)
}

const { permanent, transient } = ChannelError

/** What an error of the file system means for a delivery. */
export const classify = (path: string, cause: unknown): ChannelError => {
  if (cause instanceof ChannelError) return cause
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
  const text = `${path} could not be appended to (${code})`
  return permanentCode.test(code)
    ? permanent(`${text}: make it a file that the daemon may write, or configure another path`)
    : transient(`${text}: ${cause instanceof Error ? cause.message : String(cause)}`)
}

const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, "r")
  await directory.sync().finally(() => directory.close())
}

const endsInNewline = async (file: FileHandle, size: number): Promise<boolean> => {
  const last = Buffer.alloc(1)
  await file.read(last, 0, 1, size - 1)
  return last[0] === NEWLINE
}

// Read access for the look at the last byte; O_NONBLOCK so that a FIFO of that name is refused below instead of waited for.
const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

const append = async (options: FileChannelOptions, line: string): Promise<void> => {
  makeFolder(dirname(options.path))
  const file = await open(options.path, flags, 0o600)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw permanent(`${options.path} is not a regular file; configure another path`)
    const torn = stat.size > 0 && !(await endsInNewline(file, stat.size))
    const bytes = Buffer.from(`${torn ? "\n" : ""}${line}\n`)
    if (stat.size + bytes.length > options.maxBytes) {
      throw transient(
        `${options.path} would pass its limit of ${options.maxBytes} bytes: move it away or raise maxBytes of channel ${options.name}`,
      )
    }
    await file.appendFile(bytes)
    await file.sync()
    if (stat.size === 0) await syncDirectory(dirname(options.path))
  } finally {
    await file.close()
  }
}

export const make = (options: FileChannelOptions): Channel => {
  let last: Promise<unknown> = Promise.resolve()

  // An append that began always ends, whatever becomes of the sender: the next one must not meet half of it.
  const appendInTurn = (line: string): Effect.Effect<void, ChannelError> =>
    Effect.callback((resume) => {
      let abandoned = false
      last = last
        .then(() => (abandoned ? undefined : append(options, line)))
        .then(
          () => resume(Effect.void),
          (cause: unknown) => resume(Effect.fail(classify(options.path, cause))),
        )
      return Effect.sync(() => {
        abandoned = true
      })
    })

  return {
    type: options.name,
    send: (delivery) =>
      Clock.currentTimeMillis.pipe(
        Effect.flatMap((now) => appendInTurn(fileLine(delivery, now))),
        Effect.timeoutOrElse({
          duration: APPEND_LIMIT_MS,
          orElse: () => Effect.fail(transient(`${options.path} took no line within ${APPEND_LIMIT_MS} ms`)),
        }),
        Effect.as({ platformMessageId: null }),
      ),
  }
}
