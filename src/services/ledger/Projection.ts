/** What inbound.db must show, as the difference from the revision that it stands at. Derived from the ledger alone. */
import { addressOf } from "../../domain/Address.ts"
import { formatZoned } from "../../domain/ExchangeTime.ts"
import type { Delivery, DeliveryStatus } from "../../domain/Delivery.ts"
import type { SessionId } from "../../domain/Ids.ts"
import { shownContent } from "../../domain/MessageContent.ts"
import { isTerminal, type Message } from "../../domain/Message.ts"
import { formatSchedule } from "../../domain/Recurrence.ts"
import type { Series } from "../../domain/Series.ts"
import type { LedgerReader } from "../LedgerDriver.ts"
import type { ProjectedDelivery, ProjectedMessage, ProjectedSeries, Projection } from "../Mailbox.ts"

/** Rows of one projection. A session that changed more than this between two looks is projected whole in several. */
const MAX_ROWS = 20_000
const MAX_SERIES = 500

/** The changes since `from`; `from` 0 is a new file. Nothing when the file is up to date or the incarnation is not the live one. */
export const projectionOf = (
  reader: LedgerReader,
  sessionId: SessionId,
  incarnation: number,
  from: number,
): Projection | undefined => {
  const session = reader.session(sessionId)
  if (session === undefined || session.incarnation !== incarnation) return undefined
  if (from > 0 && from >= session.revision) return undefined
  const group = reader.group(session.groupId)
  return {
    revision: session.revision,
    messages: reader.messagesChangedSince(sessionId, incarnation, from, MAX_ROWS).map(projectMessage),
    delivered: reader.deliveriesChangedSince(sessionId, from, MAX_ROWS).flatMap(projectDelivery),
    series: reader
      .seriesList({ sessionId }, { limit: MAX_SERIES })
      .filter((series) => series.status === "active" || series.status === "paused")
      .flatMap(projectSeries),
    destinations: from === 0 ? (group?.destinations ?? []) : null,
    routing: from === 0 ? addressOf(session) : null,
  }
}

const projectMessage = (message: Message): ProjectedMessage => ({
  message: { ...message, content: shownContent(message) },
  status: !isTerminal(message.state) ? "pending" : message.state === "failed" ? "failed" : "completed",
})

const DELIVERED = {
  pending: "accepted",
  delivered: "delivered",
  applied: "delivered",
  dead: "failed",
  refused: "failed",
} as const

const projectDelivery = (delivery: Delivery): ReadonlyArray<ProjectedDelivery> =>
  delivery.outboundId === null
    ? []
    : [
        {
          outboundId: delivery.outboundId,
          status: DELIVERED[delivery.status as DeliveryStatus],
          detail: delivery.detail ?? delivery.lastError,
          platformMessageId: delivery.platformMessageId,
          at: delivery.endedAt ?? delivery.createdAt,
        },
      ]

const projectSeries = (series: Series): ReadonlyArray<ProjectedSeries> =>
  series.nextSlot === null
    ? []
    : [
        {
          id: series.id,
          seq: series.seq,
          status: series.status === "paused" ? "paused" : "pending",
          nextSlotText: formatZoned(series.nextSlot, series.zone),
          recurrence: series.schedule._tag === "Once" ? null : formatSchedule(series.schedule),
          content: JSON.stringify({
            prompt: series.prompt,
            script: series.script,
            taskId: series.taskId ?? series.id,
            status: series.status,
          }),
          ...addressOf(series),
        },
      ]
