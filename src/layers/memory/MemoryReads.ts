/** Every question of `LedgerReader` on the tables in memory, in the same order and with the same bounds as on disk. */
import { type Message, PRIORITIES, type Priority } from "../../domain/Message.ts"
import type { LedgerReader, Page } from "../../services/LedgerDriver.ts"
import { ALL } from "./IndexedTable.ts"
import { bucketOf, type Tables } from "./MemoryTables.ts"

const HIGHEST_FIRST: ReadonlyArray<Priority> = [PRIORITIES.high, PRIORITIES.normal, PRIORITIES.low]

export const makeReads = (tables: Tables): LedgerReader => ({
  ...groupsAndSessions(tables),
  ...messagesOf(tables),
  ...livesOf(tables),
  ...deliveriesOf(tables),
  ...historyOf(tables),
})

/** Groups and sessions. */
const groupsAndSessions = (tables: Tables) =>
  ({
    meta: (key) => tables.meta.get(key)?.value,
    group: (id) => tables.groups.get(id),
    groups: () => tables.groupsById.rows(ALL),
    session: (id) => tables.sessions.get(id),
    sessionByKey: (groupId, key) => tables.sessionByKey(bucketOf(groupId, key)),
    sessions: (filter, page) =>
      tables.sessionsById
        .following(ALL, ({ id }) => page.after !== undefined && id <= page.after, Infinity)
        .filter((row) => equals(filter.groupId, row.groupId) && equals(filter.status, row.status))
        .slice(0, page.limit),
    sessionsWithWork: (groupId, limit) =>
      tables.sessionsById
        .rows(ALL)
        .filter((row) => row.groupId === groupId && row.queued > 0)
        .slice(0, limit),
    sessionsToWake: (live, priority, now, limit) =>
      tables.sessionsToWake.leading(
        bucketOf(live === "live", priority),
        (row) => reached(row.wakeAt, now),
        limit,
      ),
    nextWakeAfter: (now) =>
      tables.sessionsByWake.following(ALL, (row) => reached(row.wakeAt, now), 1)[0]?.wakeAt ?? null,
    sessionState: (id) => tables.sessionState.get(id)?.value ?? [],
  }) satisfies Partial<LedgerReader>

/** Messages and what is next of them. */
const messagesOf = (tables: Tables) =>
  ({
    message: (id) => tables.messages.get(id),
    messages: (filter, page) => {
      const before = page.after === undefined ? undefined : tables.messages.placeOf(String(page.after))
      if (page.after !== undefined && before === undefined) return []
      const rows =
        filter.sessionId !== undefined
          ? tables.messagesOfSession.rows(filter.sessionId)
          : filter.seriesId !== undefined
            ? tables.messagesOfSeries.rows(filter.seriesId)
            : tables.messagesByPlace.rows(ALL)
      return rows
        .toReversed()
        .filter(
          (row) =>
            (before === undefined || (tables.messages.placeOf(row.id) ?? before) < before) &&
            equals(filter.seriesId, row.seriesId) &&
            includes(filter.states, row.state),
        )
        .slice(0, page.limit)
    },
    duePending: (sessionId, now, limit) => {
      const due: Array<Message> = []
      for (const priority of HIGHEST_FIRST) {
        due.push(
          ...tables.messagesPending.leading(
            bucketOf(sessionId, priority),
            (row) => row.dueAt <= now,
            limit - due.length,
          ),
        )
      }
      return due
    },
    earliestDue: (sessionId, { shownTo, onWake }) => {
      let earliest: { readonly dueAt: number; readonly priority: Priority } | undefined
      for (const priority of HIGHEST_FIRST) {
        const first = tables.messagesPending
          .rows(bucketOf(sessionId, priority))
          .find((row) => row.admittedIn !== shownTo && (onWake === "count" || !row.onWake))
        if (first !== undefined && (earliest === undefined || first.dueAt < earliest.dueAt)) {
          earliest = { dueAt: first.dueAt, priority }
        }
      }
      return earliest
    },
    contextPending: (sessionId, limit) => tables.messagesContext.leading(sessionId, () => true, limit),
    admittedOpen: (sessionId, incarnation, limit) =>
      tables.messagesAdmitted.leading(bucketOf(sessionId, incarnation), () => true, limit),
    messagesChangedSince: (sessionId, incarnation, revision, limit) =>
      tables.messagesChanged.following(
        bucketOf(sessionId, incarnation),
        (row) => row.revision <= revision,
        limit,
      ),
    expired: (now, limit) =>
      tables.messagesExpiring.leading(ALL, (row) => row.expiresAt !== null && row.expiresAt < now, limit),
    nextExpiry: () => tables.messagesExpiring.leading(ALL, () => true, 1)[0]?.expiresAt ?? null,
    occurrence: (seriesId, slot, origin) => tables.occurrence(bucketOf(seriesId, slot, origin)),
    openOccurrences: (seriesId, limit) => tables.messagesOccurring.leading(seriesId, () => true, limit),
  }) satisfies Partial<LedgerReader>

/** Attempts and incarnations. */
const livesOf = (tables: Tables) =>
  ({
    openAttempt: (messageId) => tables.openAttempt(messageId),
    openAttempts: (sessionId) => tables.attemptsOpen.rows(sessionId),
    attempts: (messageId, limit) => tables.attemptsOfMessage.leading(messageId, () => true, limit),
    incarnation: (sessionId, number) => tables.incarnations.get(bucketOf(sessionId, number)),
    liveIncarnations: () => tables.incarnationsLive.rows(ALL),
    incarnations: (sessionId, page) =>
      tables.incarnationsOfSession.following(
        sessionId,
        (row) => page.after !== undefined && row.number >= Number(page.after),
        page.limit,
      ),
  }) satisfies Partial<LedgerReader>

/** Deliveries. */
const deliveriesOf = (tables: Tables) =>
  ({
    delivery: (id) => tables.deliveries.get(id),
    deliveries: (filter, page) =>
      (filter.sessionId === undefined
        ? tables.deliveriesByPosition.rows(ALL)
        : tables.deliveriesOfSession.rows(filter.sessionId)
      )
        .filter((row) => isBefore(row, page) && includes(filter.statuses, row.status))
        .slice(0, page.limit),
    dueDeliveries: (now, limit, passedOver) =>
      passedOver === undefined
        ? tables.deliveriesDue.leading(ALL, (row) => reached(row.nextAttemptAt, now), limit)
        : tables.deliveriesDue
            .leading(ALL, (row) => reached(row.nextAttemptAt, now), Infinity)
            .filter(
              ({ channelType, sessionId }) =>
                !passedOver.sessions.includes(sessionId) &&
                (channelType === null || !passedOver.channels.includes(channelType)),
            )
            .slice(0, limit),
    nextDeliveryAfter: (now) =>
      tables.deliveriesDue.following(ALL, (row) => reached(row.nextAttemptAt, now), 1)[0]?.nextAttemptAt ??
      null,
    laneOf: (lane, limit) => tables.deliveriesInLane.leading(lane, () => true, limit),
    countPendingDeliveries: (channelType, limit) =>
      tables.deliveriesInChannel.leading(channelType, () => true, limit).length,
    deliveriesChangedSince: (sessionId, revision, limit) =>
      tables.deliveriesChanged.following(sessionId, (row) => row.revision <= revision, limit),
    lastOutbound: (sessionId, limit) =>
      tables.deliveriesBySeq
        .rows(sessionId)
        .filter((row) => row.outboundId !== null)
        .slice(0, limit)
        .toReversed(),
  }) satisfies Partial<LedgerReader>

/** Series, their runs, and events. */
const historyOf = (tables: Tables) =>
  ({
    series: (id) => tables.series.get(id),
    seriesByTask: (taskId, sessionId, limit) => {
      if (sessionId === null) return tables.seriesByTask.leading(taskId, () => true, limit)
      const found = tables.seriesOfTask(bucketOf(sessionId, taskId))
      return found === undefined ? [] : [found]
    },
    seriesList: (filter, page) =>
      tables.seriesById
        .following(ALL, ({ id }) => page.after !== undefined && id <= page.after, Infinity)
        .filter(
          (row) =>
            equals(filter.groupId, row.groupId) &&
            equals(filter.sessionId, row.sessionId) &&
            equals(filter.status, row.status),
        )
        .slice(0, page.limit),
    dueSeries: (now, limit) => tables.seriesDue.leading(ALL, (row) => reached(row.nextSlot, now), limit),
    nextSlot: () => tables.seriesDue.leading(ALL, () => true, 1)[0]?.nextSlot ?? null,
    runs: (filter, page) =>
      (filter.sessionId !== undefined
        ? tables.runsOfSession.rows(filter.sessionId)
        : filter.seriesId !== undefined
          ? tables.runsOfSeries.rows(filter.seriesId)
          : tables.runsByPosition.rows(ALL)
      )
        .filter(
          (row) =>
            isBefore(row, page) &&
            equals(filter.seriesId, row.seriesId) &&
            includes(filter.outcomes, row.outcome),
        )
        .slice(0, page.limit),
    lastRun: (seriesId) => tables.runsOfSeries.leading(seriesId, () => true, 1)[0],
    events: (filter, page) => {
      const after = Number(page.after ?? 0)
      return filter.sessionId === undefined
        ? tables.eventsByPosition.following(ALL, (row) => row.position <= after, page.limit)
        : tables.eventsOfSession.following(filter.sessionId, (row) => row.position <= after, page.limit)
    },
    lastEvents: (filter, page) =>
      (filter.sessionId === undefined
        ? tables.eventsByPosition.rows(ALL)
        : tables.eventsOfSession.rows(filter.sessionId)
      )
        .filter((row) => isBefore(row, page))
        .slice(-page.limit)
        .toReversed(),
  }) satisfies Partial<LedgerReader>

const reached = (instant: number | null, now: number): boolean => instant !== null && instant <= now

const equals = <Value>(wanted: Value | undefined, actual: Value | null): boolean =>
  wanted === undefined || wanted === actual

const includes = <Value>(wanted: ReadonlyArray<Value> | undefined, actual: Value): boolean =>
  wanted === undefined || wanted.includes(actual)

const isBefore = (row: { readonly position: number }, page: Page): boolean =>
  page.after === undefined || row.position < Number(page.after)
