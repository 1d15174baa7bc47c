/**
 * The engine's multiplexed log stream: frames of an eight-byte header (stream, length) and their bytes. Cut into lines for the
 * watcher, or gathered per stream for an exit log. Bounded whatever the container writes.
 */

/** A longer line is cut here. */
export const MAX_LINE_BYTES = 8 * 1024
const NEWLINE = 0x0a
const HEADER_BYTES = 8
const STDERR = 2

/** Feeds frames of any cut to `take`. */
export const makeFrameReader = (take: (source: "stdout" | "stderr", bytes: Buffer) => void) => {
  let header = Buffer.alloc(0)
  let left = 0
  let source: "stdout" | "stderr" = "stdout"
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

export interface LineCutter {
  readonly feed: (bytes: Buffer) => void
  /** The last line, if it has no newline. */
  readonly end: () => void
}

export const makeLineCutter = (line: (text: string) => void): LineCutter => {
  let parts: Array<Buffer> = []
  let kept = 0
  let length = 0
  const keep = (bytes: Buffer): void => {
    length += bytes.length
    const part = bytes.subarray(0, MAX_LINE_BYTES - kept)
    if (part.length === 0) return
    parts.push(Buffer.from(part))
    kept += part.length
  }
  const flush = (): void => {
    const text = Buffer.concat(parts).toString("utf8")
    parts = []
    kept = 0
    length = 0
    line(text)
  }
  return {
    feed: (bytes) => {
      let from = 0
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
        keep(bytes.subarray(from, at))
        from = at + 1
        flush()
      }
      keep(bytes.subarray(from))
    },
    end: () => {
      if (length > 0) flush()
    },
  }
}

/** The last `maxBytes` that were fed. */
export const makeTail = (maxBytes: number) => {
  let parts: Array<Buffer> = []
  let length = 0
  return {
    feed: (bytes: Buffer): void => {
      if (maxBytes <= 0) return
      parts.push(Buffer.from(bytes))
      length += bytes.length
      if (length > 2 * maxBytes && parts.length > 1) {
        const whole = Buffer.concat(parts).subarray(-maxBytes)
        parts = [whole]
        length = whole.length
      }
    },
    text: (): string => (maxBytes <= 0 ? "" : Buffer.concat(parts).subarray(-maxBytes).toString("utf8")),
  }
}
