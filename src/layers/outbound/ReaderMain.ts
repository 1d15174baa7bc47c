/**
 * The reader process: reads one outbound.db at a time and sends its cells. It is synchronous throughout and keeps no state, so that
 * the daemon can kill it at any moment. Whatever a hostile file does to SQLite happens here and nowhere else.
 *
 * It exits when its input ends, which is when the daemon does. If a file keeps it in native code at that moment, the watchdog kills it.
 */
import * as fs from "node:fs"
import { copyOutbound } from "./OutboundCopy.ts"
import { takeCells } from "./OutboundCells.ts"
import { OutboundRefusal } from "./OutboundRefusal.ts"
import {
  encodeFrame,
  makeFrameSplitter,
  parseRequest,
  type ReaderAnswer,
  type ReaderRequest,
  REQUEST_BYTES,
} from "./ReaderFrames.ts"
import { startWatchdog } from "./ReaderWatchdog.ts"

const INPUT = 0
const OUTPUT = 1
const PIECE_BYTES = 64 * 1024

const send = (answer: ReaderAnswer): void => {
  const frame = encodeFrame(answer)
  let sent = 0
  while (sent < frame.length) sent += fs.writeSync(OUTPUT, frame, sent)
}

const answer = ({ from, outDir, privateDir, seen }: ReaderRequest): ReaderAnswer => {
  try {
    const totals = takeCells(copyOutbound(outDir, privateDir), { seen: new Set(seen), from }, (batch) =>
      send({ _tag: "Cells", ...batch }),
    )
    return { _tag: "Done", ...totals }
  } catch (error) {
    return error instanceof OutboundRefusal
      ? { _tag: "Refusal", kind: error.kind, reason: error.message }
      : { _tag: "Refusal", kind: "unreadable", reason: `outbound.db can't be read now: ${String(error)}` }
  }
}

/** Ctrl-C in a terminal and a supervisor's SIGTERM reach the readers too, but the daemon still needs them for its final reads. */
const ignoreSignals = (): void => {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => undefined)
}

const serve = (): void => {
  ignoreSignals()
  const watchdog = startWatchdog()
  const split = makeFrameSplitter(REQUEST_BYTES)
  const piece = Buffer.allocUnsafe(PIECE_BYTES)
  send({ _tag: "Ready" })
  for (let got = fs.readSync(INPUT, piece); got > 0; got = fs.readSync(INPUT, piece))
    for (const text of split(Buffer.from(piece.subarray(0, got)))) {
      const request = parseRequest(text)
      watchdog.begin()
      send(answer(request))
      watchdog.end()
    }
}

try {
  serve()
} catch (error) {
  // The daemon is gone.
  if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error
}
process.exit(0)
