/** Cuts what a container writes into lines. Bounded whatever it writes. */

/** A longer line is cut here. */
export const MAX_LINE_BYTES = 8 * 1024
const NEWLINE = 0x0a

/** `line` is told each line without its newline, and null where one was torn. */
export const makeLineCutter = (line: (text: string | null) => void, maxBytes = MAX_LINE_BYTES) => {
  let parts: Array<Buffer> = []
  let kept = 0
  let length = 0
  let torn = false
  const keep = (bytes: Uint8Array): void => {
    length += bytes.length
    const part = bytes.subarray(0, maxBytes - kept)
    if (part.length === 0) return
    parts.push(Buffer.from(part))
    kept += part.length
  }
  const take = (): string | null => {
    const text = torn ? null : Buffer.concat(parts).toString("utf8")
    parts = []
    kept = 0
    length = 0
    torn = false
    return text
  }
  return {
    feed: (bytes: Uint8Array): void => {
      let from = 0
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
        keep(bytes.subarray(from, at))
        from = at + 1
        line(take())
      }
      keep(bytes.subarray(from))
    },
    /** Tells the last line, if it has no newline. */
    end: (): void => {
      if (length > 0) line(take())
    },
    /** The rest of the current line is missing: what comes up to the next newline is no line. */
    tear: (): void => {
      take()
      torn = true
    },
    /** How long the unfinished line is so far, in bytes. */
    unfinished: (): number => length,
  }
}
