/**
 * Follows one child's stdout line by line from a stored offset, and keeps both of its output files below the cap. Lines are
 * hints: one may be repeated after a restart of the daemon, and some are lost when a child writes faster than it is read.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs"
import { join } from "node:path"
import { cutIfOver, openForFollower } from "./CappedOutput.ts"

/** A longer line is cut here. */
export const MAX_LINE_BYTES = 8 * 1024
const CHUNK_BYTES = 64 * 1024
const CHUNKS_PER_LOOK = 4
const LINES_PER_LOOK = 1_024
const NEWLINE = 0x0a

export interface Look {
  readonly lines: ReadonlyArray<string>
  /** Something was written that will not appear as a line. */
  readonly lost: boolean
  /** There is, or soon will be, more: look again without waiting. */
  readonly busy: boolean
}

export interface OutputFollower {
  /** Reads a bounded part of what is new. */
  readonly look: () => Look
  /** A last line without its newline, once nothing more can come. */
  readonly rest: () => string | undefined
  readonly close: () => void
}

const storedOffset = (directory: string): number => {
  try {
    const text = readFileSync(join(directory, "offset"), "latin1").trim()
    return /^[0-9]{1,15}$/.test(text) ? Number(text) : 0
  } catch {
    return 0
  }
}

export const followOutput = (directory: string, maxBytes: number): OutputFollower => {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let offset = storedOffset(directory)
  let stored = offset
  /** The start of the current line, at most MAX_LINE_BYTES of it, and how long the line is so far. */
  let partial: Array<Buffer> = []
  let partialBytes = 0
  let lineBytes = 0
  /** The current line's start is missing. */
  let torn = false

  const stdout = openForFollower(directory, "stdout")
  const stderr = openForFollower(directory, "stderr")
  const mark =
    stdout === undefined
      ? undefined
      : openSync(join(directory, "offset"), constants.O_WRONLY | constants.O_CREAT, 0o600)

  const keep = (bytes: Buffer): void => {
    lineBytes += bytes.length
    const part = bytes.subarray(0, MAX_LINE_BYTES - partialBytes)
    if (part.length === 0) return
    partial.push(Buffer.from(part))
    partialBytes += part.length
  }

  const endLine = (): string | undefined => {
    const line = torn ? undefined : Buffer.concat(partial).toString("utf8")
    partial = []
    partialBytes = 0
    lineBytes = 0
    torn = false
    return line
  }

  const feed = (bytes: Buffer, lines: Array<string>): boolean => {
    let lost = false
    let from = 0
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
      keep(bytes.subarray(from, at))
      from = at + 1
      const line = endLine()
      if (line === undefined || lines.length >= LINES_PER_LOOK) lost = true
      else lines.push(line)
    }
    keep(bytes.subarray(from))
    return lost
  }

  const tear = (): void => {
    endLine()
    torn = true
  }

  const storeOffset = (): void => {
    const next = Math.max(0, offset - lineBytes)
    if (mark === undefined || next === stored) return
    writeSync(mark, String(next).padEnd(16), 0, "latin1")
    stored = next
  }

  const look = (): Look => {
    const lines: Array<string> = []
    let lost = false
    let read = 0
    if (stdout !== undefined) {
      const { size } = fstatSync(stdout)
      if (size < offset) {
        offset = 0
        endLine()
      }
      for (let turn = 0; turn < CHUNKS_PER_LOOK && offset < size; turn += 1) {
        const length = readSync(stdout, chunk, 0, CHUNK_BYTES, offset)
        if (length === 0) break
        offset += length
        read += length
        if (feed(chunk.subarray(0, length), lines)) lost = true
      }
      const cutAt = cutIfOver(stdout, directory, "stdout", maxBytes)
      if (cutAt !== undefined) {
        if (cutAt > offset) {
          lost = true
          tear()
        }
        offset = 0
      }
      storeOffset()
    }
    const cutErrors = stderr !== undefined && cutIfOver(stderr, directory, "stderr", maxBytes) !== undefined
    return { lines, lost, busy: cutErrors || read >= CHUNK_BYTES }
  }

  return {
    look,
    rest: () => (lineBytes > 0 ? endLine() : undefined),
    close: () => {
      for (const descriptor of [stdout, stderr, mark]) if (descriptor !== undefined) closeSync(descriptor)
    },
  }
}
