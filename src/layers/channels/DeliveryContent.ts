/**
 * What a delivery says, in the forms that channels send. The content was written inside a container: it parses as JSON, but
 * nothing else is known about it, so every function here is total.
 */
import type { Delivery } from "../../domain/Delivery.ts"

/** The content as a JSON value; the raw text where it is not JSON after all. */
export const parsedContent = (delivery: Pick<Delivery, "content">): unknown => {
  try {
    return JSON.parse(delivery.content)
  } catch {
    return delivery.content
  }
}

/** What a person reads: the `text` of an object, a string itself, otherwise the JSON text. */
export const readableText = (delivery: Pick<Delivery, "content">): string => {
  const content = parsedContent(delivery)
  if (typeof content === "string") return content
  if (typeof content === "object" && content !== null && "text" in content) {
    if (typeof content.text === "string") return content.text
  }
  return delivery.content
}

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
