/**
 * The writes of `LedgerTx` as SQL. A put replaces the row in place, so that it keeps its position, and a position is spent only
 * on a row that is new. Nothing here begins or commits; `LedgerCommit.ts` does.
 */
import type { Statement } from "better-sqlite3"
import type { Group } from "../../domain/Group.ts"
import type { GroupId, SessionId } from "../../domain/Ids.ts"
import type { LedgerReader, LedgerTx } from "../../services/LedgerDriver.ts"
import type { Prepare } from "./LedgerTables.ts"
import * as tables from "./LedgerTables.ts"
import { columnOf } from "./LedgerTables.ts"

/** Sets of columns that a write may name, remembered at most. */
const MAX_UPDATES = 100

const TERMINAL = "state NOT IN ('pending', 'claimed')"

const insertSql = (name: string, fields: ReadonlyArray<string>): string =>
  `INSERT INTO ${name} (${fields.map(columnOf).join(", ")}) VALUES (${fields.map(() => "?").join(", ")})`

const upsertSql = <Row>(table: tables.Table<Row>): string => {
  const changes = table.fields
    .filter((field) => field !== "position" && !table.key.includes(field))
    .map((field) => `${columnOf(field)} = excluded.${columnOf(field)}`)
  return `${insertSql(table.name, table.fields)} ON CONFLICT (${table.key.map(columnOf).join(", ")}) DO UPDATE SET ${changes.join(", ")}`
}

type Puts = ReturnType<typeof makePuts>

const makePuts = (prepare: Prepare) => {
  const put = <Row>(table: tables.Table<Row>): ((row: Row) => void) => {
    const statement = prepare(upsertSql(table))
    return (row) => {
      statement.run(table.encode(row))
    }
  }
  /** SQLite writes an index anew when a statement names its columns, changed or not: this one names only what differs. */
  const putDifference = <Row extends object>(
    table: tables.Table<Row>,
  ): ((row: Row, before?: Row) => void) => {
    const replace = put(table)
    const updates = new Map<string, Statement<Array<unknown>>>()
    const where = table.key.map((field) => `${columnOf(field)} = ?`).join(" AND ")
    const updateOf = (changed: ReadonlyArray<string>) => {
      const name = changed.join()
      const known = updates.get(name)
      if (known !== undefined) return known
      const changes = changed.map((field) => `${columnOf(field)} = ?`).join(", ")
      const made = prepare(`UPDATE ${table.name} SET ${changes} WHERE ${where}`)
      if (updates.size < MAX_UPDATES) updates.set(name, made)
      return made
    }
    return (row, before) => {
      const changed = before === undefined ? [] : table.fields.filter((field) => row[field] !== before[field])
      // No change, or none that met a row: whoever gave `before` had a row that is not written yet.
      const met = changed.length > 0 && updateOf(changed).run(table.encode(row, [...changed, ...table.key]))
      if (met === false || met.changes === 0) replace(row)
    }
  }
  const append = <Row extends { readonly position: number }>(table: tables.Table<Row>) => {
    const fields = table.fields.filter((field) => field !== "position")
    const statement = prepare(insertSql(table.name, fields))
    return (row: Row): number => Number(statement.run(table.encode(row, fields)).lastInsertRowid)
  }
  const run = (sql: string) => {
    const statement = prepare(sql)
    return (...parameters: ReadonlyArray<unknown>): void => void statement.run(...parameters)
  }
  return { put, putDifference, append, run }
}

/** What transactions write with. */
export interface Writes {
  readonly tx: LedgerTx
  /** Ends what is remembered of one commit: call it when one begins, or is undone. */
  readonly forget: () => void
  /** How many statements that write were begun so far. */
  readonly begun: () => number
}

export const makeWrites = (prepareText: Prepare, reads: LedgerReader): Writes => {
  let begun = 0
  const prepare: Prepare = (sql) => {
    const statement = prepareText(sql)
    const run = statement.run.bind(statement)
    statement.run = (...parameters) => {
      begun += 1
      return run(...parameters)
    }
    return statement
  }
  const puts = makePuts(prepare)
  const remembered = rememberForCommit(reads)
  const tx = {
    ...reads,
    ...remembered.reads,
    ...keyedWrites(puts),
    ...positionedWrites(prepare, puts),
    ...historyDeletes(prepare, puts, reads),
  }
  return {
    tx: {
      ...tx,
      putGroup: remembered.forgetting(tx.putGroup),
      deleteGroup: remembered.forgetting(tx.deleteGroup),
      putDelivery: remembered.forgetting(tx.putDelivery),
      deleteHistory: remembered.forgetting(tx.deleteHistory),
    },
    forget: remembered.forget,
    begun: () => begun,
  }
}

/** What every accept of a burst asks alike is asked once for each commit. Nothing is remembered beyond it. */
const rememberForCommit = (reads: LedgerReader) => {
  const groups = new Map<GroupId, Group | undefined>()
  const counts = new Map<string, number>()
  const forget = (): void => {
    groups.clear()
    counts.clear()
  }
  return {
    forget,
    forgetting:
      <Arguments extends ReadonlyArray<unknown>, A>(write: (...given: Arguments) => A) =>
      (...given: Arguments): A => {
        forget()
        return write(...given)
      },
    reads: {
      group: (id) => {
        if (!groups.has(id)) groups.set(id, reads.group(id))
        return groups.get(id)
      },
      countPendingDeliveries: (channelType, limit) => {
        const known = counts.get(channelType)
        if (known !== undefined) return Math.min(limit, known)
        const counted = reads.countPendingDeliveries(channelType, Number.MAX_SAFE_INTEGER)
        counts.set(channelType, counted)
        return Math.min(limit, counted)
      },
    } satisfies Partial<LedgerReader>,
  }
}

const keyedWrites = ({ put, putDifference, run }: Puts) => {
  const putSessionState = run(
    "INSERT INTO session_state (session_id, rows) VALUES (?, ?) ON CONFLICT (session_id) DO UPDATE SET rows = excluded.rows",
  )
  return {
    putMeta: run(
      "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    ),
    putGroup: put(tables.groups),
    deleteGroup: run("DELETE FROM groups WHERE id = ?"),
    putSession: putDifference(tables.sessions),
    putSessionState: (id, rows) =>
      putSessionState(id, JSON.stringify(rows.map(({ key, value }) => ({ key, value })))),
    putMessage: put(tables.messages),
    putAttempt: put(tables.attempts),
    putIncarnation: put(tables.incarnations),
    putSeries: put(tables.series),
  } satisfies Partial<LedgerTx>
}

const positionedWrites = (prepare: Prepare, { append, put }: Puts) => {
  const positionOfDelivery = prepare("SELECT position FROM deliveries WHERE id = ?")
  const replaceDelivery = put(tables.deliveries)
  const insertDelivery = append(tables.deliveries)
  const replaceRun = put(tables.runs)
  const insertRun = append(tables.runs)
  const insertEvent = append(tables.events)
  return {
    putDelivery: (row) => {
      const existing = positionOfDelivery.get(row.id) as { readonly position: number } | undefined
      if (existing === undefined) return insertDelivery(row)
      replaceDelivery({ ...row, position: existing.position })
      return existing.position
    },
    putRun: (row) => {
      if (row.position === 0) return insertRun(row)
      replaceRun(row)
      return row.position
    },
    appendEvent: (row) => {
      insertEvent({ position: 0, ...row })
    },
  } satisfies Partial<LedgerTx>
}

const historyDeletes = (prepare: Prepare, { run }: Puts, reads: LedgerReader) => {
  const oldMessages = prepare(
    `SELECT position, id FROM messages INDEXED BY messages_ended WHERE ended_at >= 0 AND ended_at < ? AND ${TERMINAL} ORDER BY ended_at, position LIMIT ?`,
  )
  const deleteMessage = prepare("DELETE FROM messages WHERE position = ?")
  const deleteAttempts = prepare("DELETE FROM attempts WHERE message_id = ?")
  // The rows of a session that lives may be read again from its files, and would be taken for new ones.
  const deleteDeliveries = prepare(
    `DELETE FROM deliveries WHERE position IN (
      SELECT position FROM deliveries INDEXED BY deliveries_ended WHERE status <> 'pending' AND ended_at >= 0 AND ended_at < ? AND NOT EXISTS (
        SELECT 1 FROM incarnations AS live WHERE live.session_id = deliveries.session_id AND live.phase <> 'ended'
      ) ORDER BY ended_at, position LIMIT ?)`,
  )
  // The newest stays: a session's next incarnation is numbered and judged by its last.
  const oldIncarnations = prepare(
    `SELECT session_id, number FROM incarnations AS old INDEXED BY incarnations_ended WHERE phase = 'ended' AND ended_at >= 0 AND ended_at < ? AND EXISTS (
      SELECT 1 FROM incarnations AS newer WHERE newer.session_id = old.session_id AND newer.number > old.number
    ) ORDER BY ended_at, session_id, number LIMIT ?`,
  )
  const deleteIncarnation = prepare("DELETE FROM incarnations WHERE session_id = ? AND number = ?")
  const deleteRuns = prepare(
    "DELETE FROM runs WHERE position IN (SELECT position FROM runs INDEXED BY runs_ended WHERE ended_at < ? ORDER BY ended_at, position LIMIT ?)",
  )
  const expiredSessions = prepare(
    `SELECT id FROM sessions INDEXED BY sessions_expiring
    WHERE expires_at >= 0 AND expires_at < ? AND live = 0 AND queued = 0
      AND NOT EXISTS (SELECT 1 FROM deliveries WHERE session_id = sessions.id AND status = 'pending')
    ORDER BY expires_at, id LIMIT ?`,
  )
  const deleteState = prepare("DELETE FROM session_state WHERE session_id = ?")
  const deleteSession = prepare("DELETE FROM sessions WHERE id = ?")
  const trimRuns = run(
    `DELETE FROM runs INDEXED BY runs_of_series WHERE series_id = ? AND series_id >= '' AND position <= (
      SELECT position FROM runs INDEXED BY runs_of_series WHERE series_id = ? AND series_id >= ''
      ORDER BY position DESC LIMIT 1 OFFSET ?)`,
  )
  return {
    deleteHistory: (before, limit) => {
      const messages = oldMessages.all(before, limit) as Array<{ position: number; id: string }>
      for (const message of messages) {
        deleteAttempts.run(message.id)
        deleteMessage.run(message.position)
      }
      const incarnations = oldIncarnations.all(before, limit) as Array<{ session_id: string; number: number }>
      const deliveries = deleteDeliveries.run(before, limit).changes
      for (const old of incarnations) deleteIncarnation.run(old.session_id, old.number)
      return messages.length + deliveries + incarnations.length + deleteRuns.run(before, limit).changes
    },
    deleteExpiredSessions: (before, limit) => {
      const ids = expiredSessions.all(before, limit) as Array<{ id: SessionId }>
      const expired = ids.flatMap(({ id }) => reads.session(id) ?? [])
      for (const session of expired) {
        deleteState.run(session.id)
        deleteSession.run(session.id)
      }
      return expired
    },
    trimRuns: (id, keep) => trimRuns(id, id, keep),
    // Events are appended and trimmed at the far end only, so their positions have no gaps.
    trimEvents: run("DELETE FROM events WHERE position <= (SELECT max(position) FROM events) - ?"),
  } satisfies Partial<LedgerTx>
}
