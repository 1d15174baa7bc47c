/** What a `send` says: its words on the command line, or stdin, as the content of its kind. */
import { Effect, Option, Schema } from "effect"
import { GroupId, type SessionId } from "../domain/Ids.ts"
import type { MessageKind } from "../domain/Message.ts"
import { CommandError, wrongWords } from "./Root.ts"

/** Of content from stdin; the daemon's own limit is lower. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024
/** Of a text that is shown back in an error. */
const SHOWN = 200

const decodeGroup = Schema.decodeUnknownEffect(GroupId)

/** `send GROUP TEXT`, or `send TEXT` with the group or the session as a flag. */
export const readWords = Effect.fnUntraced(function* (given: {
  readonly words: ReadonlyArray<string>
  readonly group: Option.Option<GroupId>
  readonly session: Option.Option<SessionId>
}) {
  const [first, second] = given.words
  const { group } = given
  if (second === undefined) {
    if (first !== undefined && (Option.isSome(group) || Option.isSome(given.session))) {
      return { group, text: first }
    }
    return yield* wrongWords(
      "send",
      `say to whom and what: send GROUP TEXT, or send TEXT with --group or --session${first === undefined ? "" : `; there is only '${first.slice(0, SHOWN)}'`}`,
    )
  }
  const named = yield* decodeGroup(first).pipe(
    Effect.mapError((error) => new CommandError({ message: `'${first}' names no group: ${error.message}` })),
  )
  if (Option.isSome(group) && group.value !== named) {
    return yield* wrongWords(
      "send",
      `the group is '${named}' and, with --group, '${group.value}'; name one of them`,
    )
  }
  return { group: Option.some(named), text: second }
})

/** The text itself, or for `-` what stdin holds. */
export const readInput = (text: string): Effect.Effect<string, CommandError> =>
  text !== "-"
    ? Effect.succeed(text)
    : Effect.tryPromise({
        try: readStdin,
        catch: (cause) =>
          cause instanceof CommandError
            ? cause
            : new CommandError({
                message: `stdin could not be read: ${cause instanceof Error ? cause.message : String(cause)}`,
              }),
      })

const readStdin = async (): Promise<string> => {
  const chunks: Array<Buffer> = []
  let size = 0
  for await (const chunk of process.stdin) {
    const bytes: Buffer = chunk
    size += bytes.length
    if (size > MAX_INPUT_BYTES) {
      throw new CommandError({
        message: `stdin holds more than ${MAX_INPUT_BYTES} bytes; put large data in a file of the group's folder and name it`,
      })
    }
    chunks.push(bytes)
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    throw new CommandError({ message: "stdin is not UTF-8 text; convert it, or name a file that holds it" })
  }
}

/** Chat content is the text itself, that of the other kinds is JSON. Nothing at all is no message. */
export const contentOf = (kind: MessageKind, text: string): Effect.Effect<unknown, CommandError> =>
  text.trim() === ""
    ? Effect.fail(new CommandError({ message: "the message is empty; say what the agent should read" }))
    : kind === "chat"
      ? Effect.succeed({ text })
      : Effect.try({
          try: (): unknown => JSON.parse(text),
          catch: (error) =>
            new CommandError({
              message: `the content of a ${kind} message is JSON, and this is not (${String(error)}): ${text.slice(0, SHOWN)}`,
            }),
        })
