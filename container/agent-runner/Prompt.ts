/**
 * What the agent reads. Times are wall-clock times of the session's zone, which every line names:
 *
 *     You are Ada. Times are in Europe/Paris.
 *
 *     For context:
 *     [#2 2026-11-21 09:58 Europe/Paris] Grace: lunch at noon?
 *
 *     To answer:
 *     [#4 2026-11-21 10:00 Europe/Paris] Linus: which table?
 *       (a second line of the same message is indented)
 *
 * A task says `Scheduled task:` instead of `To answer:`, and may end with `Data from its script:` and JSON. Lines of a text are
 * indented so that no message can pass for another one, or for a heading.
 */
import type { Configuration } from "./Configuration.ts"
import { parseInstant, wallClock } from "./ExchangeTime.ts"
import type { Batch, InboundMessage } from "./Inbox.ts"
import { parseJson } from "./JsonText.ts"
import type { Prompt } from "./providers/Provider.ts"

const MAX_SENDER_CHARS = 200

/** `script`: what the task's script handed over, undefined when there was none. */
export const promptOf = (
  batch: Batch,
  configuration: Pick<Configuration, "assistantName" | "zone">,
  scriptData: unknown,
): Prompt => {
  const clock = wallClock(configuration.zone)
  const line = (message: InboundMessage): string => {
    const at = parseInstant(message.timestamp)
    const when = at === null ? "at an unknown time" : `${clock(at)} ${configuration.zone}`
    return `[#${message.seq} ${when}] ${senderOf(message)}: ${textOf(message).replace(/\r\n|[\r\n]/g, "\n  ")}`
  }
  const parts = [`You are ${oneLine(configuration.assistantName)}. Times are in ${configuration.zone}.`]
  if (batch.context.length > 0) parts.push(["For context:", ...batch.context.map(line)].join("\n"))
  const heading = batch.triggers[0]?.kind === "task" ? "Scheduled task:" : "To answer:"
  parts.push([heading, ...batch.triggers.map(line)].join("\n"))
  if (scriptData !== undefined) parts.push(`Data from its script:\n${JSON.stringify(scriptData)}`)
  return {
    text: `${parts.join("\n\n")}\n`,
    messages: batch.triggers.map((message) => ({ id: message.id, text: textOf(message) })),
    attempt: batch.triggers[0]?.tries ?? 0,
  }
}

/** The script of a task, or undefined. */
export const scriptOf = (message: InboundMessage): string | undefined => {
  const script = message.kind === "task" ? fieldsOf(message)["script"] : undefined
  return typeof script === "string" && script.trim() !== "" ? script : undefined
}

/** The words of a message: `prompt` of a task, `text` or `markdown` of others; where there are none, its JSON. */
const textOf = (message: InboundMessage): string => {
  const fields = fieldsOf(message)
  const candidates = message.kind === "task" ? [fields["prompt"]] : [fields["text"], fields["markdown"]]
  return candidates.find((candidate) => typeof candidate === "string") ?? message.content
}

const senderOf = (message: InboundMessage): string => {
  const { sender, senderName, author, source } = fieldsOf(message)
  const authorName =
    typeof author === "object" && author !== null ? (author as { fullName?: unknown }).fullName : undefined
  const name = [sender, senderName, authorName, source].find(
    (candidate) => typeof candidate === "string" && candidate.trim() !== "",
  )
  return typeof name === "string" ? oneLine(name) : message.kind === "chat" ? "user" : message.kind
}

const oneLine = (text: string): string =>
  text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, MAX_SENDER_CHARS)

const fieldsOf = (message: InboundMessage): Readonly<Record<string, unknown>> => {
  try {
    const value = parseJson(message.content)
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}
