/** The content of a message, by kind, as docs/exchange.md fixes it: checked once, at ingress, before anything is durable. */
import { Result, Schema } from "effect"
import type { MessageKind } from "./Message.ts"

const Sender = Schema.Struct({ id: Schema.String, name: Schema.optionalKey(Schema.String) })

const contents = {
  chat: Schema.Struct({ text: Schema.String, sender: Schema.optionalKey(Sender) }),
  task: Schema.Struct({
    prompt: Schema.String,
    script: Schema.optionalKey(Schema.NullOr(Schema.String)),
  }),
  webhook: Schema.Struct({
    payload: Schema.Unknown,
    source: Schema.optionalKey(Schema.String),
  }),
  system: Schema.Struct({ text: Schema.String }),
} as const

/** Why a content is not acceptable, in one line. */
export interface ContentProblem {
  readonly message: string
}

const bytes = (text: string): number => new TextEncoder().encode(text).byteLength

/** The JSON text that the ledger stores, or what is wrong with it. Extra fields are kept. */
export const checkContent = (
  kind: MessageKind,
  content: unknown,
  maxBytes: number,
): Result.Result<string, ContentProblem> => {
  const decoded = Schema.decodeUnknownResult(contents[kind] as Schema.Codec<unknown>)(content)
  if (Result.isFailure(decoded)) {
    return Result.fail({
      message: `the content does not fit a ${kind} message: ${decoded.failure.message}`,
    })
  }
  const text = JSON.stringify(content)
  const size = bytes(text)
  return size <= maxBytes
    ? Result.succeed(text)
    : Result.fail({
        message: `the content has ${size} bytes, the limit (maxContentBytes) is ${maxBytes}; put large data in a file of the group's folder and name it`,
      })
}
