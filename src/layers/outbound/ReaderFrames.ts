/**
 * The protocol between the daemon and a reader process, over two pipes: a length of four bytes, then that many bytes of JSON. Both
 * sides load this module, so it imports nothing but Node. Every frame has a size limit; a side that exceeds it is disconnected.
 */
import { parseJson } from "../JsonText.ts"
import type { OutboundBatch, OutboundTotals } from "./OutboundBatch.ts"
import type { RefusalKind } from "./OutboundRefusal.ts"

/** One file to read. */
export interface ReaderRequest {
  readonly outDir: string
  /** A private directory of the daemon when the container is dead; null while the container may still write. */
  readonly privateDir: string | null
  /** Ids of `messages_out` that are known already. */
  readonly seen: ReadonlyArray<string>
  /** Where the previous part ended. Null: read from the beginning, including everything that is not an outbound row. */
  readonly from: string | null
}

/** `Ready` once, when the process has started; then for each request any number of `Cells`, and `Done` or `Refusal`. */
export type ReaderAnswer =
  | { readonly _tag: "Ready" }
  | ({ readonly _tag: "Cells" } & OutboundBatch)
  | ({ readonly _tag: "Done" } & OutboundTotals)
  | { readonly _tag: "Refusal"; readonly kind: RefusalKind; readonly reason: string }

/** Room for as many ids as one life may write, each of the longest kind. */
export const REQUEST_BYTES = 4 * 1024 * 1024
/** Room for one row of the longest texts with every character escaped. */
export const ANSWER_BYTES = 16 * 1024 * 1024

const isTextOrNull = (value: unknown): value is string | null => value === null || typeof value === "string"

/** Checked by hand: loading Schema would take longer than the rest of the reader's start. */
export const parseRequest = (text: string): ReaderRequest => {
  const value = parseJson(text)
  if (typeof value === "object" && value !== null && "outDir" in value && "seen" in value) {
    const {
      from = null,
      outDir,
      privateDir = null,
      seen,
    } = value as Partial<Record<keyof ReaderRequest, unknown>>
    if (typeof outDir === "string" && Array.isArray(seen) && isTextOrNull(privateDir) && isTextOrNull(from))
      return { outDir, privateDir, seen: seen.map(String), from }
  }
  throw new TypeError("the request is not what the daemon sends")
}

const LENGTH_BYTES = 4

export const encodeFrame = (value: ReaderRequest | ReaderAnswer): Buffer => {
  const text = JSON.stringify(value)
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + Buffer.byteLength(text))
  frame.writeUInt32BE(frame.length - LENGTH_BYTES, 0)
  frame.write(text, LENGTH_BYTES)
  return frame
}

/** Assembles arriving pieces into whole frames. Throws a `RangeError` at a frame longer than `maxBytes`. */
export const makeFrameSplitter = (maxBytes: number): ((piece: Buffer) => ReadonlyArray<string>) => {
  let pieces: Array<Buffer> = []
  let held = 0
  let wanted: number | null = null
  const gather = (bytes: number): Buffer => {
    const whole = pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces, held)
    pieces = [whole.subarray(bytes)]
    held -= bytes
    return whole.subarray(0, bytes)
  }
  return (piece) => {
    const texts: Array<string> = []
    pieces.push(piece)
    held += piece.length
    for (;;) {
      if (wanted === null) {
        if (held < LENGTH_BYTES) return texts
        wanted = gather(LENGTH_BYTES).readUInt32BE(0)
        if (wanted > maxBytes) throw new RangeError(`a frame of ${wanted} bytes is beyond ${maxBytes}`)
      }
      if (held < wanted) return texts
      texts.push(gather(wanted).toString("utf8"))
      wanted = null
    }
  }
}
