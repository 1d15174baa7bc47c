/**
 * The stdout of a command, line by line: lines that begin with a marker are rows to send at once, the rest is the answer.
 *
 *     ::lamplighter::outbound {"kind":"chat","content":{"text":"half way"},"channelType":…,"platformId":…,"threadId":…,"deliverAfter":…}
 *     ::lamplighter::system {"action":"cancel_task","taskId":"…"}
 *
 * Only `content` is required; a text as `content` means `{"text": …}`. A marked line that does not parse stays in the answer,
 * so that nothing is lost silently.
 */
import { parseJson } from "../JsonText.ts"
import { log } from "../Log.ts"
import { MAX_CONTENT_BYTES } from "../Outbox.ts"
import { type Draft, ProviderError } from "./Provider.ts"

const MARKER = "::lamplighter::"
const OUTBOUND = `${MARKER}outbound `
const SYSTEM = `${MARKER}system `
/** Room for the fields around a content of the greatest size. */
const MAX_LINE_CHARS = MAX_CONTENT_BYTES + 8_192
const MAX_DRAFTS = 200

export class CommandOutput {
  readonly #onDraft: (draft: Draft) => void
  /** What of the current line has arrived, while it may still turn out to be marked. */
  #line = ""
  #lineIsPlain = false
  #answer = ""
  #drafts = 0

  constructor(onDraft: (draft: Draft) => void) {
    this.#onDraft = onDraft
  }

  /** Throws a `ProviderError` at a limit. */
  push(text: string): void {
    let from = 0
    for (;;) {
      const end = text.indexOf("\n", from)
      this.#part(text.slice(from, end === -1 ? undefined : end))
      if (end === -1) return
      this.#lineEnd("\n")
      from = end + 1
    }
  }

  /** The answer. */
  end(): string {
    this.#lineEnd("")
    return this.#answer.trimEnd()
  }

  #part(part: string): void {
    if (this.#lineIsPlain) {
      this.#keep(part)
      return
    }
    this.#line += part
    const mayBeMarked = this.#line.startsWith(MARKER) || MARKER.startsWith(this.#line)
    if (!mayBeMarked) {
      this.#lineIsPlain = true
      this.#keep(this.#line)
      this.#line = ""
    } else if (this.#line.length > MAX_LINE_CHARS) {
      throw new ProviderError(
        `the command wrote a marked line longer than ${MAX_LINE_CHARS} characters`,
        "final",
      )
    }
  }

  #lineEnd(newline: string): void {
    const line = this.#line
    this.#line = ""
    const plain = this.#lineIsPlain
    this.#lineIsPlain = false
    const draft = plain ? undefined : draftOf(line)
    if (draft === undefined) {
      this.#keep(line + newline)
      return
    }
    this.#drafts += 1
    if (this.#drafts > MAX_DRAFTS) {
      throw new ProviderError(`the command sent more than ${MAX_DRAFTS} rows in one turn`, "final")
    }
    this.#onDraft(draft)
  }

  /** One character more than fits is enough for the answer to be cut, and to say so. */
  #keep(text: string): void {
    const room = MAX_CONTENT_BYTES + 1 - this.#answer.length
    if (room > 0) this.#answer += text.length <= room ? text : text.slice(0, room)
  }
}

const draftOf = (line: string): Draft | undefined => {
  const marker = line.startsWith(OUTBOUND) ? OUTBOUND : line.startsWith(SYSTEM) ? SYSTEM : undefined
  if (marker === undefined) return undefined
  const parsed = parse(line.slice(marker.length))
  const draft =
    typeof parsed === "string" ? parsed : marker === OUTBOUND ? outboundOf(parsed) : systemOf(parsed)
  if (typeof draft !== "string") return draft
  log("warn", `a line '${marker.trim()}' of the command is no row (${draft}); it stays in the answer`)
  return undefined
}

type Fields = Readonly<Record<string, unknown>>

const parse = (source: string): Fields | string => {
  try {
    const value = parseJson(source)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : "not a JSON object"
  } catch (error) {
    return error instanceof Error ? error.message : "not JSON"
  }
}

/** The row, or why it is none. */
const outboundOf = (fields: Fields): Draft | string => {
  const { kind = "chat", content, channelType, platformId, threadId, deliverAfter } = fields
  if (typeof kind !== "string" || kind === "" || kind === "system")
    return "'kind' must name a kind other than system"
  if (content === undefined || content === null) return "'content' is missing"
  if (!isOptionalText(channelType) || !isOptionalText(platformId) || !isOptionalText(threadId)) {
    return "'channelType', 'platformId' and 'threadId' must be texts"
  }
  // A text that is no time is refused by the host, which tells the agent.
  if (!isOptionalText(deliverAfter)) return "'deliverAfter' must be a text"
  if (typeof channelType !== "string" && (typeof platformId === "string" || typeof threadId === "string")) {
    return "'platformId' and 'threadId' need a 'channelType'"
  }
  const to =
    typeof channelType === "string"
      ? { channelType, platformId: platformId ?? null, threadId: threadId ?? null }
      : null
  return sized({
    kind,
    content: JSON.stringify(typeof content === "string" ? { text: content } : content),
    to,
    deliverAfter: deliverAfter ?? null,
  })
}

const systemOf = (fields: Fields): Draft | string =>
  typeof fields["action"] === "string"
    ? sized({ kind: "system", content: JSON.stringify(fields), to: null, deliverAfter: null })
    : "'action' is missing"

const sized = (draft: Draft): Draft | string =>
  Buffer.byteLength(draft.content) <= MAX_CONTENT_BYTES ? draft : `longer than ${MAX_CONTENT_BYTES} bytes`

const isOptionalText = (value: unknown): value is string | null | undefined =>
  value === undefined || value === null || typeof value === "string"
