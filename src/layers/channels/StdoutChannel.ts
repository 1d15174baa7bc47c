/**
 * Channel `stdout`: one line of JSON per delivery on the daemon's standard output. It writes to the stream itself and not through
 * a console, because a delivery counts as sent only when the stream has taken the bytes. A line carries text from inside a
 * container, so every control character in it is escaped: a terminal must not obey an agent.
 */
import { Effect } from "effect"
import type { Writable } from "node:stream"
import type { Delivery } from "../../domain/Delivery.ts"
import { type Channel, ChannelError } from "../../services/Channels.ts"
import { readableText } from "./DeliveryContent.ts"

/** How long a reader of stdout may hold up one line. */
const WRITE_LIMIT_MS = 10_000

// DEL and the C1 controls (an 8-bit terminal reads some as escape sequences), line separators, direction overrides.
const unsafeCharacters = /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g

/** `{"delivery":id,"session":id,"inReplyTo":id or null,"text":…}`, without the newline. */
const stdoutLine = (delivery: Delivery): string =>
  JSON.stringify({
    delivery: delivery.id,
    session: delivery.sessionId,
    inReplyTo: delivery.inReplyTo,
    text: readableText(delivery),
  }).replace(unsafeCharacters, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

const { transient } = ChannelError

const write = (stream: Writable, line: string): Effect.Effect<void, ChannelError> =>
  Effect.callback((resume) => {
    if (stream.destroyed || !stream.writable) {
      return resume(Effect.fail(transient("stdout is closed; restart the daemon with its output open")))
    }
    stream.write(`${line}\n`, (error) =>
      resume(error ? Effect.fail(transient(`stdout could not be written: ${error.message}`)) : Effect.void),
    )
  })

const ignoreStreamError = () => {}

/**
 * The channel over one stream. From then on the stream's `error` events are heard for good: a closed pipe announces itself by one,
 * possibly long after the write, and an event that nobody hears ends the process.
 */
export const make = (options: { readonly name: string; readonly stream: Writable }): Effect.Effect<Channel> =>
  Effect.sync(() => {
    const { name, stream } = options
    if (!stream.listeners("error").includes(ignoreStreamError)) stream.on("error", ignoreStreamError)
    return {
      type: name,
      send: (delivery) =>
        write(stream, stdoutLine(delivery)).pipe(
          Effect.timeoutOrElse({
            duration: WRITE_LIMIT_MS,
            orElse: () =>
              Effect.fail(transient(`stdout took no line within ${WRITE_LIMIT_MS} ms; is its reader stuck?`)),
          }),
          Effect.as({ platformMessageId: null }),
        ),
    }
  })
