/** The content of a message, by kind, as docs/exchange.md fixes it: checked once, at ingress, before anything is durable. */
import { Option, Result, Schema } from "effect"
import type { Message, MessageKind } from "./Message.ts"

const Sender = Schema.Struct({ id: Schema.String, name: Schema.optionalKey(Schema.String) })

const decoders = {
  chat: Schema.decodeUnknownResult(
    Schema.Struct({
      text: Schema.String.check(Schema.isPattern(/\S/, { message: "a text that is not empty" })),
      sender: Schema.optionalKey(Schema.Union([Schema.String, Sender])),
    }),
  ),
  task: Schema.decodeUnknownResult(
    Schema.Struct({
      prompt: Schema.String,
      script: Schema.optionalKey(Schema.NullOr(Schema.String)),
    }),
  ),
  webhook: Schema.decodeUnknownResult(
    Schema.Struct({ payload: Schema.Unknown, source: Schema.optionalKey(Schema.String) }),
  ),
  system: Schema.decodeUnknownResult(Schema.Struct({ text: Schema.String })),
} as const

const decodeSent = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.StructWithRest(Schema.Struct({ sender: Sender }), [Schema.Record(Schema.String, Schema.Unknown)]),
  ),
)

/** What a container is shown. Callers may say who a sender is in two fields; older runners take nothing but a text. */
export const shownContent = ({ content, kind }: Pick<Message, "content" | "kind">): string => {
  if (kind !== "chat" || !content.includes(`"sender"`)) return content
  const sent = Option.getOrUndefined(decodeSent(content))
  return sent === undefined
    ? content
    : JSON.stringify({ ...sent, sender: sent.sender.name ?? sent.sender.id })
}

/** Why a content is not acceptable, in one line. */
export interface ContentProblem {
  readonly message: string
}

const encoder = new TextEncoder()
/** No UTF-16 unit takes more bytes in UTF-8. */
const MAX_BYTES_OF_UNIT = 3

/** The JSON text that the ledger stores, or what is wrong with it. Extra fields are kept. */
export const checkContent = (
  kind: MessageKind,
  content: unknown,
  maxBytes: number,
): Result.Result<string, ContentProblem> => {
  const decoded: Result.Result<unknown, Schema.SchemaError> = decoders[kind](content)
  if (Result.isFailure(decoded)) {
    return Result.fail({
      message: `the content does not fit a ${kind} message: ${decoded.failure.message}`,
    })
  }
  const text = JSON.stringify(content)
  if (text.length * MAX_BYTES_OF_UNIT <= maxBytes) return Result.succeed(text)
  const size = encoder.encode(text).byteLength
  return size <= maxBytes
    ? Result.succeed(text)
    : Result.fail({
        message: `the content has ${size} bytes, the limit (maxContentBytes) is ${maxBytes}; put large data in a file of the group's folder and name it`,
      })
}
