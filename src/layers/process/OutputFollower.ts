/**
 * Follows one child's stdout line by line from a stored offset, and keeps both of its output files below the cap. Lines are
 * hints: one may be repeated after a restart of the daemon, and some are lost when a child writes faster than it is read.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs"
import { join } from "node:path"
import { makeLineCutter } from "../runtime/LineCutter.ts"
import type { OutputName } from "../runtime/OutputTail.ts"
import { cutIfOver, openIfThere } from "./CappedOutput.ts"
import { makeOutputOrder, type OutputOrder } from "./OutputOrder.ts"

const CHUNK_BYTES = 64 * 1024
const CHUNKS_PER_LOOK = 4
const LINES_PER_LOOK = 1_024

/** Of all followers: nothing is kept in it from one read to the next. */
const chunk = Buffer.allocUnsafe(CHUNK_BYTES)

export type OutputFollower = ReturnType<typeof followOutput>

const storedOffset = (directory: string): number => {
  try {
    const text = readFileSync(join(directory, "offset"), "latin1").trim()
    return /^[0-9]{1,15}$/.test(text) ? Number(text) : 0
  } catch {
    return 0
  }
}

const stateOf = (descriptor: number | undefined): { readonly size: number; readonly mtimeMs: number } =>
  descriptor === undefined ? { size: 0, mtimeMs: 0 } : fstatSync(descriptor)

/** Reads a bounded part of what is between `from` and `size`. Returns how much. */
const readPart = (descriptor: number, from: number, size: number, feed: (bytes: Buffer) => void): number => {
  let read = 0
  for (let turn = 0; turn < CHUNKS_PER_LOOK && from + read < size; turn += 1) {
    const length = readSync(descriptor, chunk, 0, CHUNK_BYTES, from + read)
    if (length === 0) break
    read += length
    feed(chunk.subarray(0, length))
  }
  return read
}

/**
 * What a look says: `lost`: something was written that will not appear as a line. `busy`: there is, or soon will be, more: look again
 * without waiting.
 */
export const followOutput = (directory: string, maxBytes: number, order: OutputOrder = makeOutputOrder()) => {
  let offset = storedOffset(directory)
  let stored = offset
  let lines: Array<string> = []
  let lost = false
  const cutter = makeLineCutter((line) => {
    if (line === null || lines.length >= LINES_PER_LOOK) lost = true
    else lines.push(line)
  })
  const stdout = openIfThere(join(directory, "stdout"), constants.O_RDWR)
  const stderr = openIfThere(join(directory, "stderr"), constants.O_RDWR)
  const flags = constants.O_WRONLY | constants.O_CREAT
  const mark = stdout === undefined ? undefined : openSync(join(directory, "offset"), flags, 0o600)

  const cut = (name: OutputName, descriptor: number | undefined): number | undefined => {
    const size = descriptor === undefined ? undefined : cutIfOver(descriptor, directory, name, maxBytes)
    if (size !== undefined) order.cut(name, size)
    return size
  }

  /** How many bytes of stdout were read. */
  const readNew = (descriptor: number, size: number): number => {
    if (size < offset) {
      offset = 0
      if (cutter.unfinished() > 0) cutter.tear()
    }
    const read = readPart(descriptor, offset, size, cutter.feed)
    offset += read
    return read
  }

  const storeOffset = (): void => {
    const next = Math.max(0, offset - cutter.unfinished())
    if (mark === undefined || next === stored) return
    writeSync(mark, String(next).padEnd(16), 0, "latin1")
    stored = next
  }

  return {
    /** Reads a bounded part of what is new. */
    look: () => {
      lines = []
      lost = false
      const [out, err] = [stateOf(stdout), stateOf(stderr)]
      order.note({ stdout: out.size, stderr: err.size }, out.mtimeMs <= err.mtimeMs ? "stdout" : "stderr")
      const read = stdout === undefined ? 0 : readNew(stdout, out.size)
      const cutAt = cut("stdout", stdout)
      if (cutAt !== undefined) {
        if (cutAt > offset) {
          lost = true
          cutter.tear()
        }
        offset = 0
      }
      storeOffset()
      return { lines, lost, busy: cut("stderr", stderr) !== undefined || read >= CHUNK_BYTES }
    },
    /** A last line without its newline, once nothing more can come. */
    rest: (): string | undefined => {
      lines = []
      cutter.end()
      return lines[0]
    },
    close: (): void => {
      for (const descriptor of [stdout, stderr, mark]) if (descriptor !== undefined) closeSync(descriptor)
    },
  }
}
