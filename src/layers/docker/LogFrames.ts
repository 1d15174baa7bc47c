/** The engine's multiplexed log stream: frames of an eight-byte header (stream, length) and their bytes. */
import type { OutputName } from "../runtime/OutputTail.ts"

const HEADER_BYTES = 8
const STDERR = 2

/** Feeds frames of any cut to `take`. */
export const makeFrameReader = (take: (source: OutputName, bytes: Buffer) => void) => {
  let header = Buffer.alloc(0)
  let left = 0
  let source: OutputName = "stdout"
  return (chunk: Buffer): void => {
    let rest = chunk
    while (rest.length > 0) {
      if (left === 0) {
        const wanted = HEADER_BYTES - header.length
        header = Buffer.concat([header, rest.subarray(0, wanted)])
        rest = rest.subarray(wanted)
        if (header.length < HEADER_BYTES) return
        source = header[0] === STDERR ? "stderr" : "stdout"
        left = header.readUInt32BE(4)
        header = Buffer.alloc(0)
        continue
      }
      const part = rest.subarray(0, left)
      left -= part.length
      rest = rest.subarray(part.length)
      take(source, part)
    }
  }
}
