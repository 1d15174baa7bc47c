/**
 * `send --batch`: a message for each line of stdin, JSON each, in chunks that share a transaction. Each line has its result as a line on
 * stdout, in their order: a program that was cut short repeats the rest, and with ids of its own repeats nothing.
 */
import { Effect, Result, Schema } from "effect"
import { createInterface } from "node:readline"
import type { Client } from "../layers/http/SocketClient.ts"
import { MAX_SEND_BATCH, SendRequest } from "../services/operations/Requests.ts"
import { describeIssue } from "../domain/SchemaProblem.ts"
import { hints } from "./Invocation.ts"
import { print } from "./Output.ts"
import { refusal } from "./Root.ts"

/** Of a chunk's lines, so that a request stays below what the daemon takes. */
const MAX_CHUNK_BYTES = 8 * 1024 * 1024

type Line = Result.Result<SendRequest, string>

/** A line of stdin with its number there, as an editor shows it: empty lines count. */
type Numbered = { readonly number: number; readonly text: string }

const reader = (defaults: Readonly<Record<string, unknown>>) => {
  const decode = Schema.decodeUnknownResult(
    Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)),
  )
  const decodeRequest = Schema.decodeUnknownResult(SendRequest, { onExcessProperty: "error" })
  return (text: string): Line =>
    decode(text).pipe(
      Result.map(({ text: said, ...rest }) =>
        said === undefined ? rest : { content: { text: said }, ...rest },
      ),
      Result.flatMap((line) => decodeRequest({ ...defaults, ...line })),
      Result.mapError(({ issue }) => describeIssue(issue)),
    )
}

/** Of stdin, with an empty chunk for its end. */
async function* chunksOfStdin(): AsyncGenerator<ReadonlyArray<Numbered>> {
  let chunk: Array<Numbered> = []
  let bytes = 0
  let number = 0
  for await (const text of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    number += 1
    if (text.trim() === "") continue
    const size = Buffer.byteLength(text)
    if (chunk.length === MAX_SEND_BATCH || (chunk.length > 0 && bytes + size > MAX_CHUNK_BYTES)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push({ number, text })
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}

/** What the flags say holds for every line that does not say it itself. */
export const sendBatch = Effect.fnUntraced(function* (
  api: Pick<Client, "sendBatch">,
  defaults: Readonly<Record<string, unknown>>,
) {
  const read = reader(defaults)
  const asTyped = yield* hints
  const chunks = chunksOfStdin()
  let sent = 0
  let refused = 0
  while (true) {
    const chunk = yield* Effect.tryPromise({
      try: () => chunks.next(),
      catch: (cause) => refusal(`stdin could not be read: ${String(cause)}`),
    })
    if (chunk.done === true) break
    const lines = chunk.value.map(({ text }) => read(text))
    const requests = lines.filter(Result.isSuccess).map(({ success }) => success)
    const replies = (requests.length === 0 ? [] : yield* api.sendBatch({ requests })).values()
    sent += lines.length
    for (const [index, line] of lines.entries()) {
      const reply = Result.isSuccess(line) ? replies.next().value : undefined
      const outcome = reply?.outcome ?? "failed"
      if (outcome === "failed") refused += 1
      yield* print(
        JSON.stringify({
          line: chunk.value[index]?.number,
          outcome,
          id: reply?.message?.id ?? null,
          sessionId: reply?.message?.sessionId ?? null,
          error: reply === undefined ? "Invalid" : reply.error,
          reason: Result.isFailure(line) ? line.failure : reply?.reason ? asTyped(reply.reason) : null,
        }),
      )
    }
  }
  if (sent === 0) return yield* refusal("stdin is empty; write one message a line, as JSON")
  if (refused > 0) return yield* refusal(`${refused} of ${sent} messages were not accepted`)
})
