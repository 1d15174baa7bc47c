/** The last bytes of what a container wrote: of each stream, and of both together as people read them. Bounded. */
import { type ContainerOutput, DOORBELL } from "../../services/ContainerRuntime.ts"

export type OutputName = "stdout" | "stderr"

/** Nobody gets more of one stream at once, whatever they ask for. */
export const MAX_TAIL_BYTES = 16 * 1024 * 1024
/** A longer line does not wait for its newline: the other stream may come between its parts. */
const MAX_WAITING_BYTES = 64 * 1024
const NEWLINE = 0x0a

const join = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** The last `maxBytes` that were fed. */
export const makeTail = (maxBytes: number) => {
  let parts: Array<Uint8Array> = []
  let length = 0
  return {
    feed: (bytes: Uint8Array): void => {
      if (maxBytes <= 0) return
      parts.push(bytes.slice())
      length += bytes.length
      if (length > 2 * maxBytes && parts.length > 1) {
        const whole = join(parts).subarray(-maxBytes)
        parts = [whole]
        length = whole.length
      }
    },
    text: (): string => (maxBytes <= 0 ? "" : textOf(join(parts).subarray(-maxBytes))),
  }
}

/** To be fed in order of time. `text` has both streams line by line in that order, without the runner's doorbells. */
export const makeOutputTail = (maxBytes: number) => {
  const limit = Math.min(Math.max(0, maxBytes), MAX_TAIL_BYTES)
  const tails = { stdout: makeTail(limit), stderr: makeTail(limit), both: makeTail(limit) }
  const waiting: Record<OutputName, Uint8Array> = { stdout: new Uint8Array(0), stderr: new Uint8Array(0) }
  const tell = (line: Uint8Array): void => {
    if (line.length > DOORBELL.length + 2 || textOf(line).trimEnd() !== DOORBELL) tails.both.feed(line)
  }
  return {
    feed: (source: OutputName, bytes: Uint8Array): void => {
      tails[source].feed(bytes)
      let rest = join([waiting[source], bytes])
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
