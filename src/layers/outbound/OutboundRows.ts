/**
 * Decodes what a container wrote, one row at a time: every cell arrives as unknown, with a mark where the reader refused to
 * load it, and leaves as a bounded value or as a reason.
 */
import { Result, Schema } from "effect"
import { parseExchangeTime } from "../../domain/ExchangeTime.ts"
import { parseJson } from "../JsonText.ts"
import { MessageId, OutboundId } from "../../domain/Ids.ts"
import { type EpochMs, MAX_EPOCH_MS, type Millis } from "../../domain/Instant.ts"
import type { AckRow, OutboundRow, ToolInFlight } from "../../services/Mailbox.ts"
import { type Cells, Refused } from "./OutboundBatch.ts"
import { OutboundLimits } from "./OutboundLimits.ts"

const isMessageId = Schema.is(MessageId)
const isOutboundId = Schema.is(OutboundId)

/** Why a row is refused; thrown inside this module only. */
class BadCell extends Error {}

const text = (cells: Cells, column: string): string => {
  const value = cells[column]
  if (typeof value === "string") return value
  if (value === Refused.tooLong) throw new BadCell(`${column} is too long`)
  if (value === Refused.notJson) throw new BadCell(`${column} is not JSON`)
  throw new BadCell(value === null || value === undefined ? `${column} is missing` : `${column} is not text`)
}

const textOrNull = (cells: Cells, column: string): string | null =>
  cells[column] === null || cells[column] === undefined ? null : text(cells, column)

const integerOrNull = (cells: Cells, column: string, minimum: number, maximum: number): number | null => {
  const value = cells[column]
  if (value === null || value === undefined) return null
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= minimum && value <= maximum)
    return value
  throw new BadCell(`${column} is not a whole number from ${minimum} to ${maximum}`)
}

/** A value that is not a message id is dropped; the row is kept. */
const messageIdOrNull = (cells: Cells, column: string): string | null => {
  const value = textOrNull(cells, column)
  return value !== null && isMessageId(value) ? value : null
}

const timeOrNull = (value: string | null): EpochMs | null =>
  value === null ? null : (Result.getOrNull(parseExchangeTime(value))?.at ?? null)

const decode = <A>(body: () => A): Result.Result<A, string> => {
  try {
    return Result.succeed(body())
  } catch (error) {
    if (error instanceof BadCell) return Result.fail(error.message)
    throw error
  }
}

/** Null when the row asks for no time. A time that can't be read can't be honoured: the row goes on with the reason. */
const deliverAfterOf = (cells: Cells): Pick<OutboundRow, "deliverAfter" | "unreadable"> => {
  const asked = decode(() => textOrNull(cells, "deliver_after"))
  if (Result.isFailure(asked)) return { deliverAfter: null, unreadable: asked.failure }
  if (asked.success === null) return { deliverAfter: null }
  const time = parseExchangeTime(asked.success)
  return Result.isSuccess(time)
    ? { deliverAfter: time.success.at }
    : { deliverAfter: null, unreadable: `deliver_after is not a time: ${time.failure.message}` }
}

/** A row of `messages_out`. `timestamp` may be unparsable (null). */
export const decodeOutbound = (cells: Cells): Result.Result<OutboundRow, string> =>
  decode(() => {
    const id = text(cells, "id")
    if (!isOutboundId(id)) throw new BadCell("id does not match the pattern of ids")
    return {
      id,
      seq: integerOrNull(cells, "seq", 1, Number.MAX_SAFE_INTEGER),
      inReplyTo: messageIdOrNull(cells, "in_reply_to"),
      timestamp: timeOrNull(text(cells, "timestamp")),
      ...deliverAfterOf(cells),
      recurrence: textOrNull(cells, "recurrence"),
      kind: text(cells, "kind"),
      channelType: textOrNull(cells, "channel_type"),
      platformId: textOrNull(cells, "platform_id"),
      threadId: textOrNull(cells, "thread_id"),
      content: text(cells, "content"),
    }
  })

const noDetail: AckRow["detail"] = { retryable: true, error: null, result: null }

/** Very deeply nested JSON can be parsed but not printed again. */
const printed = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch {
    return "(a value nested too deeply to show)"
  }
}

const clip = (value: unknown, chars: number): string | null => {
  if (value === null || value === undefined) return null
  const whole = typeof value === "string" ? value : printed(value)
  return whole.length <= chars ? whole : `${whole.slice(0, chars)}…`
}

/**
 * The JSON of `processing_ack.detail`. A bad one does not invalidate the ack: the message is done all the same, and `error` says what
 * was wrong.
 */
const decodeDetail = (cells: Cells): AckRow["detail"] => {
  const value = cells["detail"]
  if (value === null || value === undefined) return noDetail
  if (value === Refused.tooLong) return { ...noDetail, error: "the container's detail was too long to read" }
  if (typeof value !== "string") return { ...noDetail, error: "the container's detail was not text" }
  let parsed: unknown
  try {
    parsed = parseJson(value)
  } catch {
    return { ...noDetail, error: clip(value, OutboundLimits.errorChars) }
  }
  if (typeof parsed !== "object" || parsed === null)
    return { ...noDetail, error: clip(parsed, OutboundLimits.errorChars) }
  const fields = parsed as Readonly<Record<string, unknown>>
  return {
    retryable: fields["retryable"] !== false,
    error: clip(fields["error"], OutboundLimits.errorChars),
    result: clip(fields["result"], OutboundLimits.resultChars),
    ...(isMessageId(fields["turn"]) ? { turn: fields["turn"] } : {}),
  }
}

const ackStatuses: ReadonlySet<string> = new Set<AckRow["status"]>(["processing", "completed", "failed"])
const isAckStatus = (value: string): value is AckRow["status"] => ackStatuses.has(value)

/** A row of `processing_ack`. An unparsable `status_changed` is null, and counts from when the host first saw it. */
export const decodeAck = (cells: Cells): Result.Result<AckRow, string> =>
  decode(() => {
    const messageId = text(cells, "message_id")
    if (!isMessageId(messageId)) throw new BadCell("message_id does not match the pattern of ids")
    const status = text(cells, "status")
    if (!isAckStatus(status)) throw new BadCell("status is not processing, completed or failed")
    const changed = Result.getOrNull(parseExchangeTime(text(cells, "status_changed")))
    return {
      messageId,
      status,
      changedAt: changed?.at ?? null,
      precision: changed?.precision ?? "s",
      tries: integerOrNull(cells, "tries", 0, 2 ** 31 - 1),
      outcome: textOrNull(cells, "outcome"),
      detail: decodeDetail(cells),
    }
  })

/** A row of `session_state`. */
export const decodeState = (cells: Cells): Result.Result<{ key: string; value: string }, string> =>
  decode(() => ({ key: text(cells, "key"), value: text(cells, "value") }))

/** The row of `container_state`: the tool in flight, null when there is none, and when that was written. */
export const decodeTool = (
  cells: Cells,
): Result.Result<{ readonly tool: ToolInFlight | null; readonly updatedAt: EpochMs | null }, string> =>
  decode(() => {
    const updatedAt = typeof cells["updated_at"] === "string" ? timeOrNull(cells["updated_at"]) : null
    const tool = textOrNull(cells, "current_tool")
    if (tool === null) return { tool, updatedAt }
    const declaredTimeoutMs: Millis | null = integerOrNull(cells, "tool_declared_timeout_ms", 0, MAX_EPOCH_MS)
    const startedAt = timeOrNull(textOrNull(cells, "tool_started_at"))
    return { tool: { tool, declaredTimeoutMs, startedAt }, updatedAt }
  })
