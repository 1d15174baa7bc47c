/**
 * What a delivery says, in the forms that channels send. The content was written inside a container: it parses as JSON, but
 * nothing else is known about it, so every function here is total.
 */
import { Option, Schema } from "effect"
import type { Delivery } from "../../domain/Delivery.ts"
import type { MessageReport } from "../../services/operations/Requests.ts"

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const decodeReadable = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Union([Schema.String, Schema.Struct({ text: Schema.String })])),
)

/** The content as a JSON value; the raw text where it is not JSON after all. */
const parsedContent = ({ content }: Pick<Delivery, "content">): unknown =>
  Option.getOrElse(decodeJson(content), () => content)

/** What a person reads: the `text` of an object, a string itself, otherwise the JSON text. */
export const readableText = ({ content }: Pick<Delivery, "content">): string => {
  const readable = Option.getOrElse(decodeReadable(content), () => content)
  return typeof readable === "string" ? readable : readable.text
}

/**
 * The answers that whoever wrote the message sees: without what an agent asked of the host, what was refused, and what one agent told
 * another when it was a person who wrote.
 */
export const visible = ({ answers, message }: Pick<MessageReport, "answers" | "message">) =>
  answers.filter(
    ({ channelType, kind, status }) =>
      kind !== "system" &&
      status !== "refused" &&
      (channelType !== "agent" || message.channelType === "agent"),
  )

/** One line of JSON: the envelope's fields, then `content` as a JSON value. */
export const encodeWithContent = (
  envelope: Readonly<Record<string, string | number | null>>,
  delivery: Pick<Delivery, "content">,
): string => {
  try {
    return JSON.stringify({ ...envelope, content: parsedContent(delivery) })
  } catch {
    // Nested so deeply that it parses but can't be written again: the text itself still says everything.
    return JSON.stringify({ ...envelope, content: delivery.content })
  }
}
