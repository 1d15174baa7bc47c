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
import { ALL, type Journal, makeTable } from "./IndexedTable.ts"

/** A bucket's name of several parts; only the last may be free text. */
export const bucketOf = (...parts: ReadonlyArray<string | number | boolean>): string => parts.join("\n")

/** The key of a row that is known by a position, padded so that text sorts as numbers do. */
const positionKey = (position: number): string => String(position).padStart(16, "0")

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
  const groupsById = groups.index(["id"])
  return { meta, sessionState, groups, groupsById }
}

/** Sessions. */
const sessionTables = (journal: Journal) => {
  const sessions = makeTable<Session>(journal, (row) => row.id)
  const sessionByKey = sessions.unique("sessions of one group with the same key", (row) =>
    bucketOf(row.groupId, row.key),
  )
  const sessionsById = sessions.index(["id"])
  const sessionsToWake = sessions.index(["wakeAt", "id"], (row) =>
    row.wakeAt === null ? undefined : bucketOf(row.live, row.wakePriority),
  )
  const sessionsExpiring = sessions.index(["expiresAt", "id"], (row) =>
    row.expiresAt === null ? undefined : ALL,
  )
  const sessionsByWake = sessions.index(["wakeAt"], (row) => (row.wakeAt === null ? undefined : ALL))
  return { sessions, sessionByKey, sessionsById, sessionsToWake, sessionsExpiring, sessionsByWake }
}

/** Messages. */
const messageTables = (journal: Journal) => {
  const messages = makeTable<Message>(journal, (row) => row.id)
  return {
    messages,
    occurrence: messages.unique("occurrences of one series, slot and origin", (row) =>
      row.seriesId === null || row.slot === null || row.slotOrigin === null
        ? undefined
        : bucketOf(row.seriesId, row.slot, row.slotOrigin),
    ),
    messagesByPlace: messages.index([]),
    messagesOfSession: messages.index([], (row) => row.sessionId),
    messagesOfSeries: messages.index([], (row) => row.seriesId ?? undefined),
    messagesPending: messages.index(["dueAt", "seq"], (row) =>
      row.state === "pending" && wakes(row) ? bucketOf(row.sessionId, row.priority) : undefined,
    ),
    messagesContext: messages.index([], (row) =>
      row.state === "pending" && !wakes(row) ? row.sessionId : undefined,
    ),
    messagesAdmitted: messages.index(["seq"], (row) =>
      row.admittedIn > 0 && !isTerminal(row.state) ? bucketOf(row.sessionId, row.admittedIn) : undefined,
    ),
    messagesChanged: messages.index(["revision", "seq"], (row) =>
      row.admittedIn > 0 ? bucketOf(row.sessionId, row.admittedIn) : undefined,
    ),
    messagesExpiring: messages.index(["expiresAt"], (row) =>
      row.state === "pending" && row.expiresAt !== null ? ALL : undefined,
    ),
    messagesOccurring: messages.index(["slot"], (row) =>
      isTerminal(row.state) ? undefined : (row.seriesId ?? undefined),
    ),
    messagesEnded: messages.index(["endedAt"], (row) =>
      isTerminal(row.state) && row.endedAt !== null ? ALL : undefined,
    ),
  }
}

/** Attempts and incarnations. */
const lifeTables = (journal: Journal) => {
  const attempts = makeTable<Attempt>(journal, (row) => bucketOf(row.messageId, row.number))
  const incarnations = makeTable<Incarnation>(journal, (row) => bucketOf(row.sessionId, row.number))
  return {
    attempts,
    openAttempt: attempts.unique("open attempts of one message", (row) =>
      row.endedAt === null ? row.messageId : undefined,
    ),
    attemptsOpen: attempts.index(["claimedAt", "messageId"], (row) =>
      row.endedAt === null ? row.sessionId : undefined,
    ),
    attemptsOfMessage: attempts.index(["-number"], (row) => row.messageId),
    incarnations,
    incarnationsOfSession: incarnations.index(["-number"], (row) => row.sessionId),
    incarnationsLive: incarnations.index(["sessionId", "number"], (row) =>
      row.phase === "ended" ? undefined : ALL,
    ),
    incarnationsEnded: incarnations.index(["endedAt", "sessionId", "number"], (row) =>
      row.phase === "ended" && row.endedAt !== null ? ALL : undefined,
    ),
  }
}

/** Deliveries. */
const deliveryTables = (journal: Journal) => {
  const deliveries = makeTable<Delivery>(journal, (row) => row.id)
  return {
    deliveries,
    deliveriesByPosition: deliveries.index(["-position"]),
    deliveriesOfSession: deliveries.index(["-position"], (row) => row.sessionId),
    deliveriesDue: deliveries.index(["nextAttemptAt", "position"], (row) =>
      row.status === "pending" && row.nextAttemptAt !== null ? ALL : undefined,
    ),
    deliveriesInLane: deliveries.index(["position"], (row) =>
      row.status === "pending" ? row.lane : undefined,
    ),
    deliveriesInChannel: deliveries.index([], (row) =>
      row.status === "pending" ? (row.channelType ?? undefined) : undefined,
    ),
    deliveriesChanged: deliveries.index(["revision", "position"], (row) =>
      row.outboundId !== null ? row.sessionId : undefined,
    ),
    deliveriesBySeq: deliveries.index(["-seq", "-position"], (row) =>
      row.seq === null ? undefined : row.sessionId,
    ),
    deliveriesEnded: deliveries.index(["endedAt", "position"], (row) =>
      row.status !== "pending" && row.endedAt !== null ? ALL : undefined,
    ),
  }
}

/** Series, runs and events. */
const historyTables = (journal: Journal) => {
  const series = makeTable<Series>(journal, (row) => row.id)
  const runs = makeTable<Run>(journal, (row) => positionKey(row.position))
  const events = makeTable<LedgerEvent>(journal, (row) => positionKey(row.position))
  return {
    series,
    seriesOfTask: series.unique("tasks of one session with the same id", (row) =>
      row.taskId === null ? undefined : bucketOf(row.sessionId, row.taskId),
    ),
    seriesByTask: series.index(["sessionId"], (row) => row.taskId ?? undefined),
    seriesById: series.index(["id"]),
    seriesDue: series.index(["nextSlot", "id"], (row) =>
      row.status === "active" && row.nextSlot !== null ? ALL : undefined,
    ),
    runs,
    runsByPosition: runs.index(["-position"]),
    runsOfSession: runs.index(["-position"], (row) => row.sessionId),
    runsOfSeries: runs.index(["-position"], (row) => row.seriesId ?? undefined),
    runsEnded: runs.index(["endedAt", "position"]),
    events,
    eventsByPosition: events.index(["position"]),
    eventsOfSession: events.index(["position"], (row) => row.sessionId ?? undefined),
  }
}
