/** What a `send` says: its words on the command line, or stdin, as the content of its kind. */
import { Effect, Schema } from "effect"
import { isUtf8 } from "node:buffer"
import { GroupId, type SessionId } from "../domain/Ids.ts"
import { parseJson } from "../layers/JsonText.ts"
import type { MessageKind } from "../domain/Message.ts"
import { CommandError, messageOf, refusal, wrongWords } from "./Root.ts"

/** Of content from stdin; the daemon's own limit is lower. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024
/** Of a text that is shown back in an error. */
const SHOWN = 200

const decodeGroup = Schema.decodeUnknownEffect(GroupId)

/** `send GROUP TEXT`, or `send TEXT` with the group or the session as a flag. */
export const readWords = Effect.fnUntraced(function* (
  [first, second]: ReadonlyArray<string>,
  { groupId, sessionId }: { readonly groupId?: GroupId; readonly sessionId?: SessionId },
) {
  if (second === undefined) {
    if (first !== undefined && (groupId !== undefined || sessionId !== undefined))
      return { group: {}, text: first }
    const only = first === undefined ? "" : `; there is only '${first.slice(0, SHOWN)}'`
    return yield* wrongWords(
      "send",
      `say to whom and what: send GROUP TEXT, or send TEXT with --group or --session${only}`,
    )
  }
  const named = yield* Effect.mapError(decodeGroup(first), ({ message }) =>
    refusal(`'${first}' names no group: ${message}`),
  )
  if (groupId !== undefined && groupId !== named)
    return yield* wrongWords(
      "send",
      `the group is '${named}' and, with --group, '${groupId}'; name one of them`,
    )
  return { group: { groupId: named }, text: second }
})

/** The text itself, or for `-` what stdin holds. */
export const readInput = (text: string): Effect.Effect<string, CommandError> =>
  text !== "-"
    ? Effect.succeed(text)
    : Effect.tryPromise({
        try: readStdin,
        catch: (cause) =>
          cause instanceof CommandError ? cause : refusal(`stdin could not be read: ${messageOf(cause)}`),
      })

const readStdin = async (): Promise<string> => {
  const chunks: Array<Buffer> = []
  let size = 0
  for await (const chunk of process.stdin) {
    const bytes: Buffer = chunk
    size += bytes.length
    if (size > MAX_INPUT_BYTES)
      throw refusal(
        `stdin holds more than ${MAX_INPUT_BYTES} bytes; put large data in a file of the group's folder and name it`,
      )
    chunks.push(bytes)
  }
  const text = Buffer.concat(chunks)
  if (isUtf8(text)) return new TextDecoder().decode(text)
  throw refusal("stdin is not UTF-8 text; convert it, or name a file that holds it")
}

/** Chat content is the text itself, that of the other kinds is JSON. Nothing at all is no message. */
export const contentOf = Effect.fnUntraced(function* (kind: MessageKind, text: string) {
  if (text.trim() === "") return yield* refusal("the message is empty; say what the agent should read")
  if (kind === "chat") return { text }
  return yield* Effect.try({
    try: () => parseJson(text),
    catch: (error) =>
      refusal(
        `the content of a ${kind} message is JSON, and this is not (${String(error)}): ${text.slice(0, SHOWN)}`,
      ),
  })
})
