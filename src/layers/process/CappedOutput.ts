/**
 * The files that a child writes stdout and stderr to, kept below a size. The child holds them open with O_APPEND, so when one
 * grows past the cap its tail is copied to `<name>.1` and it is cut to nothing: the child goes on writing at zero. On disk
 * each stays below one and a half caps, plus what is written between two looks.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { OutputName } from "../runtime/OutputTail.ts"
import { unless } from "./ProcessTable.ts"

/** The tail that survives a cut. */
const keptBytes = (maxBytes: number): number => Math.min(Math.floor(maxBytes / 2), 1024 * 1024)

/** For the child. The caller closes it. */
export const openForChild = (directory: string, name: OutputName): number =>
  openSync(
    join(directory, name),
    constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW,
    0o600,
  )

/** `undefined` if there is no such file. The caller closes it. */
export const openIfThere = (path: string, access: number): number | undefined =>
  unless(["ENOENT"], () => openSync(path, access | constants.O_NOFOLLOW))

/** The last `maxBytes` of an open file. */
const readEnd = (descriptor: number, maxBytes: number): Buffer => {
  const { size } = fstatSync(descriptor)
  const buffer = Buffer.alloc(Math.min(size, maxBytes))
  const length = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length)
  return buffer.subarray(0, length)
}

/** Cuts the file if it is over `maxBytes`. Returns the size it was cut at, or `undefined` if it was left alone. */
export const cutIfOver = (
  descriptor: number,
  directory: string,
  name: OutputName,
  maxBytes: number,
): number | undefined => {
  if (fstatSync(descriptor).size <= maxBytes) return undefined
  const tail = readEnd(descriptor, keptBytes(maxBytes))
  const { size } = fstatSync(descriptor)
  ftruncateSync(descriptor, 0)
  writeFileSync(join(directory, `${name}.1`), tail, { mode: 0o600 })
  return size
}

/** The last `maxBytes` that were written, across a cut; empty if nothing is there. */
export const tailOf = (directory: string, name: OutputName, maxBytes: number): Buffer => {
  let tail = Buffer.alloc(0)
  for (const file of [name, `${name}.1`]) {
    const descriptor = openIfThere(join(directory, file), constants.O_RDONLY)
    if (descriptor === undefined) continue
    try {
      tail = Buffer.concat([readEnd(descriptor, maxBytes - tail.length), tail])
    } finally {
      closeSync(descriptor)
    }
  }
  return tail
}
