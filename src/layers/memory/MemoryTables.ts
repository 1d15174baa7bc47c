/** The ledger's tables in memory, with an index for each question that is asked often. */
import type { Attempt } from "../../domain/Attempt.ts"
import type { Delivery } from "../../domain/Delivery.ts"
import type { Group } from "../../domain/Group.ts"
import type { Incarnation } from "../../domain/Incarnation.ts"
import type { LedgerEvent } from "../../domain/LedgerEvent.ts"
import { isTerminal, type Message, wakes } from "../../domain/Message.ts"
import type { Run } from "../../domain/Run.ts"
import type { Series } from "../../domain/Series.ts"
import type { Session } from "../../domain/Session.ts"
import { type Journal, makeTable } from "./IndexedTable.ts"

/** The only bucket of an index that has one. */
export const ALL = ""

/** A bucket's name of several parts; only the last may be free text. */
export const bucketOf = (...parts: ReadonlyArray<string | number | boolean>): string => parts.join("\n")

/** The key of a row that is known by a position, padded so that text sorts as numbers do. */
export const positionKey = (position: number): string => String(position).padStart(16, "0")

type Kept<Value> = { readonly key: string; readonly value: Value }

export const makeTables = (journal: Journal) => ({
  ...plainTables(journal),
  ...sessionTables(journal),
  ...messageTables(journal),
  ...lifeTables(journal),
  ...deliveryTables(journal),
  ...historyTables(journal),
})

export type Tables = ReturnType<typeof makeTables>

/** What is kept by name, and groups. */
const plainTables = (journal: Journal) => {
  const meta = makeTable<Kept<string>>(journal, (row) => row.key)
  const sessionState = makeTable<Kept<ReadonlyArray<Kept<string>>>>(journal, (row) => row.key)

  const groups = makeTable<Group>(journal, (row) => row.id)
  const groupsById = groups.index({ bucket: () => ALL, order: [(row) => row.id] })
  return { meta, sessionState, groups, groupsById }
}

/** Sessions. */
const sessionTables = (journal: Journal) => {
  const sessions = makeTable<Session>(journal, (row) => row.id)
  const sessionByKey = sessions.unique("sessions of one group with the same key", (row) =>
    bucketOf(row.groupId, row.key),
  )
  const sessionsById = sessions.index({ bucket: () => ALL, order: [(row) => row.id] })
  const sessionsToWake = sessions.index({
    bucket: (row) => (row.wakeAt === null ? undefined : bucketOf(row.live, row.wakePriority)),
    order: [(row) => row.wakeAt, (row) => row.id],
  })
  const sessionsExpiring = sessions.index({
    bucket: (row) => (row.expiresAt === null ? undefined : ALL),
    order: [(row) => row.expiresAt, (row) => row.id],
  })
  const sessionsByWake = sessions.index({
    bucket: (row) => (row.wakeAt === null ? undefined : ALL),
    order: [(row) => row.wakeAt],
  })
  return { sessions, sessionByKey, sessionsById, sessionsToWake, sessionsExpiring, sessionsByWake }
}

/** Messages. */
const messageTables = (journal: Journal) => {
  const messages = makeTable<Message>(journal, (row) => row.id)
  const occurrence = messages.unique("occurrences of one series, slot and origin", (row) =>
    row.seriesId === null || row.slot === null || row.slotOrigin === null
      ? undefined
      : bucketOf(row.seriesId, row.slot, row.slotOrigin),
  )
  const messagesByPlace = messages.index({ bucket: () => ALL, order: [] })
  const messagesOfSession = messages.index({ bucket: (row) => row.sessionId, order: [] })
  const messagesOfSeries = messages.index({ bucket: (row) => row.seriesId ?? undefined, order: [] })
  const messagesPending = messages.index({
    bucket: (row) =>
      row.state === "pending" && wakes(row) ? bucketOf(row.sessionId, row.priority) : undefined,
    order: [(row) => row.dueAt, (row) => row.seq],
  })
  const messagesContext = messages.index({
    bucket: (row) => (row.state === "pending" && !wakes(row) ? row.sessionId : undefined),
    order: [],
  })
  const messagesAdmitted = messages.index({
    bucket: (row) =>
      row.admittedIn > 0 && !isTerminal(row.state) ? bucketOf(row.sessionId, row.admittedIn) : undefined,
    order: [(row) => row.seq],
  })
  const messagesChanged = messages.index({
    bucket: (row) => (row.admittedIn > 0 ? bucketOf(row.sessionId, row.admittedIn) : undefined),
    order: [(row) => row.revision, (row) => row.seq],
  })
  const messagesExpiring = messages.index({
    bucket: (row) => (row.state === "pending" && row.expiresAt !== null ? ALL : undefined),
    order: [(row) => row.expiresAt],
  })
  const messagesOccurring = messages.index({
    bucket: (row) => (isTerminal(row.state) ? undefined : (row.seriesId ?? undefined)),
    order: [(row) => row.slot],
  })
  const messagesEnded = messages.index({
    bucket: (row) => (isTerminal(row.state) && row.endedAt !== null ? ALL : undefined),
    order: [(row) => row.endedAt],
  })
  return {
    messages,
    occurrence,
    messagesByPlace,
    messagesOfSession,
    messagesOfSeries,
    messagesPending,
    messagesContext,
    messagesAdmitted,
    messagesChanged,
    messagesExpiring,
    messagesOccurring,
    messagesEnded,
  }
}

/** Attempts and incarnations. */
const lifeTables = (journal: Journal) => {
  const attempts = makeTable<Attempt>(journal, (row) => bucketOf(row.messageId, row.number))
  const openAttempt = attempts.unique("open attempts of one message", (row) =>
    row.endedAt === null ? row.messageId : undefined,
  )
  const attemptsOpen = attempts.index({
    bucket: (row) => (row.endedAt === null ? row.sessionId : undefined),
    order: [(row) => row.claimedAt, (row) => row.messageId],
  })
  const attemptsOfMessage = attempts.index({
    bucket: (row) => row.messageId,
    order: [(row) => -row.number],
  })

  const incarnations = makeTable<Incarnation>(journal, (row) => bucketOf(row.sessionId, row.number))
  const incarnationsOfSession = incarnations.index({
    bucket: (row) => row.sessionId,
    order: [(row) => -row.number],
  })
  const incarnationsLive = incarnations.index({
    bucket: (row) => (row.phase === "ended" ? undefined : ALL),
    order: [(row) => row.sessionId, (row) => row.number],
  })
  const incarnationsEnded = incarnations.index({
    bucket: (row) => (row.phase === "ended" && row.endedAt !== null ? ALL : undefined),
    order: [(row) => row.endedAt, (row) => row.sessionId, (row) => row.number],
  })
  return {
    attempts,
    openAttempt,
    attemptsOpen,
    attemptsOfMessage,
    incarnations,
    incarnationsOfSession,
    incarnationsLive,
    incarnationsEnded,
  }
}

/** Deliveries. */
const deliveryTables = (journal: Journal) => {
  const deliveries = makeTable<Delivery>(journal, (row) => row.id)
  const deliveriesByPosition = deliveries.index({ bucket: () => ALL, order: [(row) => -row.position] })
  const deliveriesOfSession = deliveries.index({
    bucket: (row) => row.sessionId,
    order: [(row) => -row.position],
  })
  const deliveriesDue = deliveries.index({
    bucket: (row) => (row.status === "pending" && row.nextAttemptAt !== null ? ALL : undefined),
    order: [(row) => row.nextAttemptAt, (row) => row.position],
  })
  const deliveriesInLane = deliveries.index({
    bucket: (row) => (row.status === "pending" ? row.lane : undefined),
    order: [(row) => row.position],
  })
  const deliveriesInChannel = deliveries.index({
    bucket: (row) => (row.status === "pending" ? (row.channelType ?? undefined) : undefined),
    order: [],
  })
  const deliveriesChanged = deliveries.index({
    bucket: (row) => (row.outboundId !== null ? row.sessionId : undefined),
    order: [(row) => row.revision, (row) => row.position],
  })
  const deliveriesBySeq = deliveries.index({
    bucket: (row) => (row.seq === null ? undefined : row.sessionId),
    order: [(row) => (row.seq === null ? null : -row.seq), (row) => -row.position],
  })
  const deliveriesEnded = deliveries.index({
    bucket: (row) => (row.status !== "pending" && row.endedAt !== null ? ALL : undefined),
    order: [(row) => row.endedAt, (row) => row.position],
  })
  return {
    deliveries,
    deliveriesByPosition,
    deliveriesOfSession,
    deliveriesDue,
    deliveriesInLane,
    deliveriesInChannel,
    deliveriesChanged,
    deliveriesBySeq,
    deliveriesEnded,
  }
}

/** Series, runs and events. */
const historyTables = (journal: Journal) => {
  const series = makeTable<Series>(journal, (row) => row.id)
  const seriesOfTask = series.unique("tasks of one session with the same id", (row) =>
    row.taskId === null ? undefined : bucketOf(row.sessionId, row.taskId),
  )
  const seriesByTask = series.index({
    bucket: (row) => row.taskId ?? undefined,
    order: [(row) => row.sessionId],
  })
  const seriesById = series.index({ bucket: () => ALL, order: [(row) => row.id] })
  const seriesDue = series.index({
    bucket: (row) => (row.status === "active" && row.nextSlot !== null ? ALL : undefined),
    order: [(row) => row.nextSlot, (row) => row.id],
  })

  const runs = makeTable<Run>(journal, (row) => positionKey(row.position))
  const runsByPosition = runs.index({ bucket: () => ALL, order: [(row) => -row.position] })
  const runsOfSession = runs.index({ bucket: (row) => row.sessionId, order: [(row) => -row.position] })
  const runsOfSeries = runs.index({
    bucket: (row) => row.seriesId ?? undefined,
    order: [(row) => -row.position],
  })
  const runsEnded = runs.index({ bucket: () => ALL, order: [(row) => row.endedAt, (row) => row.position] })

  const events = makeTable<LedgerEvent>(journal, (row) => positionKey(row.position))
  const eventsByPosition = events.index({ bucket: () => ALL, order: [(row) => row.position] })
  const eventsOfSession = events.index({
    bucket: (row) => row.sessionId ?? undefined,
    order: [(row) => row.position],
  })
  return {
    series,
    seriesById,
    seriesByTask,
    seriesOfTask,
    seriesDue,
    runs,
    runsByPosition,
    runsOfSession,
    runsOfSeries,
    runsEnded,
    events,
    eventsByPosition,
    eventsOfSession,
  }
}
