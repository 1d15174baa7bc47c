/**
 * The ledger in memory, for simulations and tests: the same contract, answered from sorted maps, deterministic, gone with its
 * scope. A transaction that fails is taken back step by step from a journal.
 */
import { Effect, Layer, Result } from "effect"
import { LedgerDriver, LedgerError, type LedgerReader, type LedgerTx } from "../../services/LedgerDriver.ts"
import type { Journal } from "./IndexedTable.ts"
import { makeReads } from "./MemoryReads.ts"
import { ALL, bucketOf, makeTables, positionKey, type Tables } from "./MemoryTables.ts"

export const make = (): LedgerDriver["Service"] => {
  const journal: Journal = []
  const tables = makeTables(journal)
  const reads = makeReads(tables)
  const tx = makeWrites(tables, reads, journal)

  const rollBack = (): void => {
    while (journal.length > 0) journal.pop()?.()
  }

  return {
    transaction: (f) =>
      Effect.suspend(() => {
        try {
          const result = f(tx)
          if (Result.isFailure(result)) {
            rollBack()
            return Effect.fail(result.failure)
          }
          journal.length = 0
          return Effect.succeed(result.success)
        } catch (defect) {
          rollBack()
          return Effect.die(defect)
        }
      }),
    read: (f) => Effect.sync(() => f(reads)),
    backup: (path) =>
      Effect.fail(
        new LedgerError({
          reason: "Io",
          message: `no backup at ${path}: this ledger is in memory and has no file; use one on disk`,
        }),
      ),
  }
}

/** Each layer built is a new, empty ledger. */
export const layer: Layer.Layer<LedgerDriver> = Layer.sync(LedgerDriver, make)

/** A counter whose steps are taken back with the transaction. */
const makePositions = (journal: Journal) => {
  let last = 0
  return {
    next: (): number => {
      const before = last
      journal.push(() => {
        last = before
      })
      last += 1
      return last
    },
    last: () => last,
  }
}

const makeWrites = (tables: Tables, reads: LedgerReader, journal: Journal): LedgerTx => {
  const deliveryPositions = makePositions(journal)
  const runPositions = makePositions(journal)
  const eventPositions = makePositions(journal)
  return {
    ...reads,
    ...historyDeletes(tables),
    ...trims(tables, reads, eventPositions.last),
    putMeta: (key, value) => tables.meta.put({ key, value }),
    putGroup: tables.groups.put,
    deleteGroup: (id) => {
      tables.groups.remove(id)
    },
    putSession: (row) => tables.sessions.put(row),
    putSessionState: (id, rows) =>
      tables.sessionState.put({ key: id, value: rows.map(({ key, value }) => ({ key, value })) }),
    putMessage: tables.messages.put,
    putAttempt: tables.attempts.put,
    putIncarnation: tables.incarnations.put,
    putDelivery: (row) => {
      const position = tables.deliveries.get(row.id)?.position ?? deliveryPositions.next()
      tables.deliveries.put({ ...row, position })
      return position
    },
    putSeries: tables.series.put,
    putRun: (row) => {
      const position = row.position === 0 ? runPositions.next() : row.position
      tables.runs.put({ ...row, position })
      return position
    },
    appendEvent: (row) => tables.events.put({ position: eventPositions.next(), ...row }),
  }
}

const historyDeletes = (tables: Tables) => {
  const deleteMessages = (before: number, limit: number): number => {
    const old = tables.messagesEnded.leading(
      ALL,
      (row) => row.endedAt !== null && row.endedAt < before,
      limit,
    )
    for (const message of old) {
      for (const attempt of tables.attemptsOfMessage.rows(message.id)) {
        tables.attempts.remove(bucketOf(attempt.messageId, attempt.number))
      }
      tables.messages.remove(message.id)
    }
    return old.length
  }

  /** The rows of a session that lives may be read again from its files, and would be taken for new ones. */
  const deleteDeliveries = (before: number, limit: number): number => {
    const live = new Set<string>(tables.incarnationsLive.rows(ALL).map((row) => row.sessionId))
    const old = tables.deliveriesEnded
      .leading(ALL, (row) => row.endedAt !== null && row.endedAt < before, tables.deliveries.size())
      .filter((row) => !live.has(row.sessionId))
      .slice(0, limit)
    for (const delivery of old) tables.deliveries.remove(delivery.id)
    return old.length
  }

  /** The newest stays: a session's next incarnation is numbered and judged by its last. */
  const deleteIncarnations = (before: number, limit: number): number => {
    const old = tables.incarnationsEnded
      .leading(ALL, (row) => row.endedAt !== null && row.endedAt < before, tables.incarnations.size())
      .filter((row) => tables.incarnationsOfSession.rows(row.sessionId)[0]?.number !== row.number)
      .slice(0, limit)
    for (const row of old) tables.incarnations.remove(bucketOf(row.sessionId, row.number))
    return old.length
  }

  const deleteRuns = (before: number, limit: number): number => {
    const old = tables.runsEnded.leading(ALL, (row) => row.endedAt < before, limit)
    for (const run of old) tables.runs.remove(positionKey(run.position))
    return old.length
  }

  return {
    deleteHistory: (before, limit) =>
      deleteMessages(before, limit) +
      deleteDeliveries(before, limit) +
      deleteIncarnations(before, limit) +
      deleteRuns(before, limit),
  } satisfies Partial<LedgerTx>
}

/** What a table or a session keeps. */
const trims = (tables: Tables, reads: LedgerReader, lastEvent: () => number) =>
  ({
    deleteExpiredSessions: (before, limit) => {
      const expired = tables.sessionsExpiring
        .leading(ALL, (row) => row.expiresAt !== null && row.expiresAt < before, tables.sessions.size())
        .filter((row) => !row.live && row.queued === 0)
        .filter(
          (row) => reads.deliveries({ sessionId: row.id, statuses: ["pending"] }, { limit: 1 }).length === 0,
        )
        .slice(0, limit)
      for (const session of expired) {
        tables.sessionState.remove(session.id)
        tables.sessions.remove(session.id)
      }
      return expired
    },
    trimRuns: (id, keep) => {
      for (const run of tables.runsOfSeries.rows(id).slice(keep))
        tables.runs.remove(positionKey(run.position))
    },
    trimEvents: (keep) => {
      const last = lastEvent()
      const old = tables.eventsByPosition.leading(
        ALL,
        (row) => row.position <= last - keep,
        tables.events.size(),
      )
      for (const event of old) tables.events.remove(positionKey(event.position))
    },
  }) satisfies Partial<LedgerTx>
