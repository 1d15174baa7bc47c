/** Cuts what a container writes into lines. Bounded whatever it writes. */

/** A longer line is cut here. */
export const MAX_LINE_BYTES = 8 * 1024
const NEWLINE = 0x0a

export interface LineCutter {
  readonly feed: (bytes: Uint8Array) => void
  /** Tells the last line, if it has no newline. */
  readonly end: () => void
  /** The rest of the current line is missing: what comes up to the next newline is no line. */
  readonly tear: () => void
  /** How long the unfinished line is so far, in bytes. */
  readonly unfinished: () => number
}

/** `line` is told each line without its newline, and null where one was torn. */
export const makeLineCutter = (line: (text: string | null) => void): LineCutter => {
  let parts: Array<Buffer> = []
  let kept = 0
  let length = 0
  let torn = false
  const keep = (bytes: Uint8Array): void => {
    length += bytes.length
    const part = bytes.subarray(0, MAX_LINE_BYTES - kept)
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
    feed: (bytes) => {
      let from = 0
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
        keep(bytes.subarray(from, at))
        from = at + 1
        line(take())
      }
      keep(bytes.subarray(from))
    },
    end: () => {
      if (length > 0) line(take())
    },
    tear: () => {
      take()
      torn = true
    },
    unfinished: () => length,
  }
}
