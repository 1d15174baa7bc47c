/**
 * Every question of `LedgerReader` as SQL. Each is one range of one index, or a few. The index is named where the planner, which
 * knows nothing of how rare pending rows are, would take another; a test reads all the plans.
 */
import { Schema } from "effect"
import { DeliveryStatus } from "../../domain/Delivery.ts"
import { type Message, MessageState, PRIORITIES, type Priority } from "../../domain/Message.ts"
import { RunOutcome } from "../../domain/Run.ts"
import type { LedgerReader, Page } from "../../services/LedgerDriver.ts"
import * as tables from "./LedgerTables.ts"
import type { Prepare } from "./LedgerTables.ts"
import { newestFirst, type Range, scopeOf, type Where } from "./NewestFirst.ts"

const decodeState = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.String }))),
)

const HIGHEST_FIRST: ReadonlyArray<Priority> = [PRIORITIES.high, PRIORITIES.normal, PRIORITIES.low]

const WAKING = "state = 'pending' AND trigger = 1 AND kind <> 'system'"
const CONTEXT = "state = 'pending' AND (trigger = 0 OR kind = 'system')"
const OPEN = "state IN ('pending', 'claimed')"

/**
 * Pending rows of one session lie in two indexes of their own, by turn, and are sorted by position when they are listed; a third
 * one for listings would cost every message that is accepted a page, and there are few of them.
 */
const messageRanges = (state: MessageState, fixed: ReadonlyArray<string>): ReadonlyArray<Range> => {
  if (!fixed.includes("session_id")) return [{ source: "messages", condition: `state = '${state}'` }]
  if (state !== "pending") {
    return [
      {
        source: "messages INDEXED BY messages_by_session",
        condition: `state <> 'pending' AND state = '${state}'`,
      },
    ]
  }
  return [
    { source: "messages INDEXED BY messages_pending", condition: WAKING },
    { source: "messages INDEXED BY messages_context", condition: CONTEXT },
  ]
}

export const makeReads = (prepare: Prepare): LedgerReader => {
  const ask = makeAsk(prepare)
  return {
    ...groupsAndSessions(ask),
    ...messagesOf(ask),
    ...dueOf(ask),
    ...livesOf(ask),
    ...deliveriesOf(ask),
    ...historyOf(ask),
  }
}

/** The kinds of question, each prepared once. */
const makeAsk = (prepareText: Prepare) => {
  // A bare parameter beside LIMIT or an equals sign makes SQLite plan again on each binding, ten times the cost of the question.
  const prepare: Prepare = (sql) => prepareText(sql.replaceAll("?", "+?"))
  const one = <Row>(table: tables.Table<Row>, rest: string) => {
    const statement = prepare(`SELECT ${table.select} FROM ${table.name} ${rest}`)
    return (...parameters: ReadonlyArray<unknown>): Row | undefined => {
      const row = statement.get(...parameters)
      return row === undefined ? undefined : table.decode(row)
    }
  }
  const many = <Row>(table: tables.Table<Row>, rest: string) => {
    const statement = prepare(`SELECT ${table.select} FROM ${table.name} ${rest}`)
    return (...parameters: ReadonlyArray<unknown>): ReadonlyArray<Row> =>
      statement.all(...parameters).map(table.decode)
  }
  const value = <Value>(sql: string) => {
    const statement = prepare(sql)
    return (...parameters: ReadonlyArray<unknown>): Value | undefined =>
      (statement.get(...parameters) as { readonly value: Value } | undefined)?.value
  }

  /** The least of a column; null where no row has one. */
  const least = (sql: string) => {
    const ask = value<number | null>(sql)
    return (...parameters: ReadonlyArray<unknown>): number | null => ask(...parameters) ?? null
  }

  /** By id, ascending. A status other than `active` names its partial index. */
  const byId = <Row>(table: tables.Table<Row>, where: Where, page: Page): ReadonlyArray<Row> => {
    const scope = scopeOf(where)
    const conditions = scope.map(([name]) => `${name} = ? AND `).join("")
    const inactive =
      table.name === "sessions" && scope.some(([name, wanted]) => name === "status" && wanted !== "active")
        ? "status <> 'active' AND "
        : ""
    return prepare(
      `SELECT ${table.select} FROM ${table.name} WHERE ${conditions}${inactive}id > ? ORDER BY id LIMIT ?`,
    )
      .all(...scope.map(([, wanted]) => wanted), page.after ?? "", page.limit)
      .map(table.decode)
  }

  return { prepare, one, many, value, least, byId }
}

type Ask = ReturnType<typeof makeAsk>

/** Groups and sessions. */
const groupsAndSessions = ({ one, many, value, least, byId }: Ask) => {
  const sessionsToWake = many(
    tables.sessions,
    "INDEXED BY sessions_to_wake WHERE wake_at >= 0 AND live = ? AND wake_priority = ? AND wake_at <= ? ORDER BY wake_at, id LIMIT ?",
  )
  const sessionState = value<string>("SELECT rows AS value FROM session_state WHERE session_id = ?")
  return {
    meta: value<string>("SELECT value FROM meta WHERE key = ?"),
    group: one(tables.groups, "WHERE id = ?"),
    groups: many(tables.groups, "ORDER BY id"),
    session: one(tables.sessions, "WHERE id = ?"),
    sessionByKey: one(tables.sessions, "WHERE group_id = ? AND key = ?"),
    sessions: (filter, page) =>
      byId(tables.sessions, { group_id: filter.groupId, status: filter.status }, page),
    sessionsWithWork: many(
      tables.sessions,
      "INDEXED BY sessions_by_group WHERE group_id = ? AND queued > 0 ORDER BY id LIMIT ?",
    ),
    sessionsToWake: (live, priority, now, limit) =>
      sessionsToWake(live === "live" ? 1 : 0, priority, now, limit),
    nextWakeAfter: least(
      "SELECT min(wake_at) AS value FROM sessions INDEXED BY sessions_next_wake WHERE wake_at >= 0 AND wake_at > ?",
    ),
    sessionState: (id) => {
      const rows = sessionState(id)
      return rows === undefined ? [] : decodeState(rows)
    },
  } satisfies Partial<LedgerReader>
}

/** Messages. */
const messagesOf = ({ one, many, value, prepare }: Ask) => {
  const messagePosition = value<number>("SELECT position AS value FROM messages WHERE id = ?")
  const messagesNewest = newestFirst(prepare, tables.messages, MessageState.literals, messageRanges)
  return {
    message: one(tables.messages, "WHERE id = ?"),
    messages: (filter, page) => {
      const before = page.after === undefined ? undefined : messagePosition(page.after)
      if (page.after !== undefined && before === undefined) return []
      return messagesNewest(
        { session_id: filter.sessionId, series_id: filter.seriesId },
        filter.states,
        page.limit,
        before,
      )
    },
    contextPending: many(
      tables.messages,
      `INDEXED BY messages_context WHERE session_id = ? AND ${CONTEXT} ORDER BY position LIMIT ?`,
    ),
    admittedOpen: many(
      tables.messages,
      `INDEXED BY messages_admitted WHERE session_id = ? AND admitted_in = ? AND admitted_in > 0 AND ${OPEN} ORDER BY seq, position LIMIT ?`,
    ),
    messagesChangedSince: many(
      tables.messages,
      "INDEXED BY messages_changed WHERE session_id = ? AND admitted_in = ? AND admitted_in > 0 AND revision > ? ORDER BY revision, seq, position LIMIT ?",
    ),
    occurrence: one(
      tables.messages,
      "WHERE series_id >= '' AND series_id = ? AND slot >= 0 AND slot = ? AND slot_origin >= '' AND slot_origin = ?",
    ),
    openOccurrences: many(
      tables.messages,
      `INDEXED BY messages_occurring WHERE series_id >= '' AND series_id = ? AND ${OPEN} ORDER BY slot, position LIMIT ?`,
    ),
  } satisfies Partial<LedgerReader>
}

/** What is next of the messages. */
const dueOf = ({ many, value, least }: Ask) => {
  const earliestDue = value<number>(
    `SELECT due_at AS value FROM messages INDEXED BY messages_pending WHERE session_id = ? AND ${WAKING} AND priority = ? AND admitted_in <> ? ORDER BY due_at LIMIT 1`,
  )
  const earliestDueLive = value<number>(
    `SELECT due_at AS value FROM messages INDEXED BY messages_pending WHERE session_id = ? AND ${WAKING} AND priority = ? AND admitted_in <> ? AND on_wake = 0 ORDER BY due_at LIMIT 1`,
  )
  const duePending = many(
    tables.messages,
    `INDEXED BY messages_pending WHERE session_id = ? AND ${WAKING} AND priority = ? AND due_at <= ? ORDER BY due_at, seq, position LIMIT ?`,
  )
  return {
    duePending: (sessionId, now, limit) => {
      const due: Array<Message> = []
      for (const priority of HIGHEST_FIRST) {
        if (due.length >= limit) break
        due.push(...duePending(sessionId, priority, now, limit - due.length))
      }
      return due
    },
    earliestDue: (sessionId, options) => {
      const ask = options.onWake === "count" ? earliestDue : earliestDueLive
      let earliest: { readonly dueAt: number; readonly priority: Priority } | undefined
      for (const priority of HIGHEST_FIRST) {
        const dueAt = ask(sessionId, priority, options.shownTo)
        if (dueAt !== undefined && (earliest === undefined || dueAt < earliest.dueAt)) {
          earliest = { dueAt, priority }
        }
      }
      return earliest
    },
    expired: many(
      tables.messages,
      "INDEXED BY messages_expiring WHERE state = 'pending' AND expires_at >= 0 AND expires_at < ? ORDER BY expires_at, position LIMIT ?",
    ),
    nextExpiry: least(
      "SELECT min(expires_at) AS value FROM messages INDEXED BY messages_expiring WHERE state = 'pending' AND expires_at >= 0",
    ),
  } satisfies Partial<LedgerReader>
}

/** Attempts and incarnations. */
const livesOf = ({ one, many }: Ask) => {
  const incarnations = many(
    tables.incarnations,
    "WHERE session_id = ? AND number < ? ORDER BY number DESC LIMIT ?",
  )
  return {
    openAttempt: one(tables.attempts, "INDEXED BY attempts_open WHERE message_id = ? AND ended_at IS NULL"),
    openAttempts: many(
      tables.attempts,
      "INDEXED BY attempts_open_by_session WHERE session_id = ? AND ended_at IS NULL ORDER BY claimed_at, message_id",
    ),
    attempts: many(tables.attempts, "WHERE message_id = ? ORDER BY number DESC LIMIT ?"),
    incarnation: one(tables.incarnations, "WHERE session_id = ? AND number = ?"),
    liveIncarnations: many(
      tables.incarnations,
      "INDEXED BY incarnations_live WHERE phase <> 'ended' ORDER BY session_id, number",
    ),
    incarnations: (sessionId, page) =>
      incarnations(sessionId, page.after ?? Number.MAX_SAFE_INTEGER, page.limit),
  } satisfies Partial<LedgerReader>
}

/** Deliveries. */
const deliveriesOf = ({ one, many, value, least, prepare }: Ask) => {
  const deliveriesNewest = newestFirst(prepare, tables.deliveries, DeliveryStatus.literals, (status) => [
    { source: "deliveries", condition: `status = '${status}'` },
  ])
  const dueDeliveries = many(
    tables.deliveries,
    "INDEXED BY deliveries_due WHERE status = 'pending' AND next_attempt_at >= 0 AND next_attempt_at <= ? ORDER BY next_attempt_at, position LIMIT ?",
  )
  const dueBeside = many(
    tables.deliveries,
    `INDEXED BY deliveries_due WHERE status = 'pending' AND next_attempt_at >= 0 AND next_attempt_at <= ?
      AND session_id NOT IN (SELECT value FROM json_each(?))
      AND (channel_type IS NULL OR channel_type NOT IN (SELECT value FROM json_each(?)))
      ORDER BY next_attempt_at, position LIMIT ?`,
  )
  const countPendingDeliveries = value<number>(
    "SELECT count AS value FROM pending_deliveries WHERE channel_type = ?",
  )
  const lastOutbound = many(
    tables.deliveries,
    "INDEXED BY deliveries_by_seq WHERE session_id = ? AND seq >= 0 AND outbound_id >= '' ORDER BY seq DESC, position DESC LIMIT ?",
  )
  return {
    delivery: one(tables.deliveries, "WHERE id = ?"),
    deliveries: (filter, page) =>
      deliveriesNewest({ session_id: filter.sessionId }, filter.statuses, page.limit, positionOf(page)),
    dueDeliveries: (now, limit, { channels, sessions } = { channels: [], sessions: [] }) =>
      channels.length + sessions.length === 0
        ? dueDeliveries(now, limit)
        : dueBeside(now, JSON.stringify(sessions), JSON.stringify(channels), limit),
    nextDeliveryAfter: least(
      "SELECT min(next_attempt_at) AS value FROM deliveries INDEXED BY deliveries_due WHERE status = 'pending' AND next_attempt_at >= 0 AND next_attempt_at > ?",
    ),
    laneOf: many(
      tables.deliveries,
      "INDEXED BY deliveries_in_lane WHERE status = 'pending' AND lane = ? ORDER BY position LIMIT ?",
    ),
    countPendingDeliveries: (channelType, limit) => Math.min(limit, countPendingDeliveries(channelType) ?? 0),
    deliveriesChangedSince: many(
      tables.deliveries,
      "INDEXED BY deliveries_changed WHERE session_id = ? AND outbound_id >= '' AND revision > ? ORDER BY revision, position LIMIT ?",
    ),
    lastOutbound: (sessionId, limit) => lastOutbound(sessionId, limit).toReversed(),
  } satisfies Partial<LedgerReader>
}

/** Series, their runs, and events. */
const historyOf = ({ one, many, least, prepare, byId }: Ask) => {
  const runsNewest = newestFirst(prepare, tables.runs, RunOutcome.literals, (outcome) => [
    { source: "runs", condition: `outcome = '${outcome}'` },
  ])
  const events = many(tables.events, "WHERE position > ? ORDER BY position LIMIT ?")
  const eventsOf = many(
    tables.events,
    "WHERE session_id >= '' AND session_id = ? AND position > ? ORDER BY position LIMIT ?",
  )
  const lastEvents = many(tables.events, "WHERE position < ? ORDER BY position DESC LIMIT ?")
  const lastEventsOf = many(
    tables.events,
    "WHERE session_id >= '' AND session_id = ? AND position < ? ORDER BY position DESC LIMIT ?",
  )
  const seriesByTask = many(tables.series, "WHERE task_id = ? AND task_id >= '' ORDER BY session_id LIMIT ?")
  const seriesOfTask = many(tables.series, "WHERE task_id = ? AND task_id >= '' AND session_id = ? LIMIT ?")
  return {
    series: one(tables.series, "WHERE id = ?"),
    seriesByTask: (taskId, sessionId, limit) =>
      sessionId === null ? seriesByTask(taskId, limit) : seriesOfTask(taskId, sessionId, limit),
    seriesList: (filter, page) =>
      byId(
        tables.series,
        { group_id: filter.groupId, session_id: filter.sessionId, status: filter.status },
        page,
      ),
    dueSeries: many(
      tables.series,
      "INDEXED BY series_due WHERE status = 'active' AND next_slot >= 0 AND next_slot <= ? ORDER BY next_slot, id LIMIT ?",
    ),
    nextSlot: least(
      "SELECT min(next_slot) AS value FROM series INDEXED BY series_due WHERE status = 'active' AND next_slot >= 0",
    ),
    runs: (filter, page) =>
      runsNewest(
        { session_id: filter.sessionId, series_id: filter.seriesId },
        filter.outcomes,
        page.limit,
        positionOf(page),
      ),
    lastRun: (seriesId) => runsNewest({ series_id: seriesId }, undefined, 1)[0],
    events: (filter, page) =>
      filter.sessionId === undefined
        ? events(page.after ?? 0, page.limit)
        : eventsOf(filter.sessionId, page.after ?? 0, page.limit),
    lastEvents: (filter, page) => {
      const before = positionOf(page) ?? Number.MAX_SAFE_INTEGER
      return filter.sessionId === undefined
        ? lastEvents(before, page.limit)
        : lastEventsOf(filter.sessionId, before, page.limit)
    },
  } satisfies Partial<LedgerReader>
}

/** A cursor that came as text (from a command line) is the same position. */
const positionOf = (page: Page): number | undefined =>
  page.after === undefined ? undefined : Number(page.after)
