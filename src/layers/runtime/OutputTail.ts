/** The last bytes of what a container wrote: of each stream, and of both together as people read them. Bounded. */
import { type ContainerOutput, DOORBELL } from "../../services/ContainerRuntime.ts"

export type OutputName = "stdout" | "stderr"

/** Nobody gets more of one stream at once, whatever they ask for. */
const MAX_TAIL_BYTES = 16 * 1024 * 1024
export const tailLimit = (maxBytes: number): number => Math.min(Math.max(0, maxBytes), MAX_TAIL_BYTES)

/** A longer line does not wait for its newline: the other stream may come between its parts. */
const MAX_WAITING_BYTES = 64 * 1024
const NEWLINE = 0x0a

/** The last `maxBytes` that were fed. */
export const makeTail = (maxBytes: number) => {
  let parts: Array<Buffer> = []
  let length = 0
  const kept = (): Buffer => {
    const whole = Buffer.concat(parts)
    return whole.subarray(Math.max(0, whole.length - maxBytes))
  }
  return {
    feed: (bytes: Uint8Array): void => {
      parts.push(Buffer.from(bytes))
      length += bytes.length
      if (length <= 2 * maxBytes) return
      const whole = kept()
      parts = [whole]
      length = whole.length
    },
    text: (): string => kept().toString("utf8"),
  }
}

/** To be fed in order of time. `text` has both streams line by line in that order, without the runner's doorbells. */
export const makeOutputTail = (maxBytes: number) => {
  const limit = tailLimit(maxBytes)
  const tails = { stdout: makeTail(limit), stderr: makeTail(limit), both: makeTail(limit) }
  const waiting: Record<OutputName, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  const tell = (line: Buffer): void => {
    if (line.length > DOORBELL.length + 2 || line.toString("utf8").trimEnd() !== DOORBELL)
      tails.both.feed(line)
  }
  return {
    feed: (source: OutputName, bytes: Uint8Array): void => {
      tails[source].feed(bytes)
      let rest = Buffer.concat([waiting[source], bytes])
      for (let at = rest.indexOf(NEWLINE); at >= 0; at = rest.indexOf(NEWLINE)) {
        tell(rest.subarray(0, at + 1))
        rest = rest.subarray(at + 1)
      }
      if (rest.length > MAX_WAITING_BYTES) {
        tell(rest)
        rest = rest.subarray(rest.length)
      }
      waiting[source] = rest
    },
    output: (): ContainerOutput => {
      for (const source of ["stdout", "stderr"] as const) tell(waiting[source])
      return { stdout: tails.stdout.text(), stderr: tails.stderr.text(), text: tails.both.text() }
    },
  }
}
