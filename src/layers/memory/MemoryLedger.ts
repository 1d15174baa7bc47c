/**
 * The ledger in memory, for simulations and tests: the same contract, answered from sorted maps, deterministic, gone with its
 * scope. A transaction that fails is taken back step by step from a journal.
 */
import { Effect, Layer, Result } from "effect"
import { LedgerDriver, LedgerError, type LedgerReader, type LedgerTx } from "../../services/LedgerDriver.ts"
import { ALL, type Journal } from "./IndexedTable.ts"
import { makeReads } from "./MemoryReads.ts"
import { makeTables, type Tables } from "./MemoryTables.ts"

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
    ...deletes(tables, reads, eventPositions.last),
    putMeta: (key, value) => tables.meta.put({ key, value }),
    putGroup: tables.groups.put,
    deleteGroup: tables.groups.remove,
    putSession: tables.sessions.put,
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

/** What a table or a session keeps. */
const deletes = (tables: Tables, reads: LedgerReader, lastEvent: () => number) =>
  ({
    deleteHistory: (before, limit) => {
      const isOld = (row: { readonly endedAt: number | null }) => row.endedAt !== null && row.endedAt < before
      const messages = tables.messagesEnded.leading(ALL, isOld, limit)
      for (const { id } of messages) tables.attempts.removeAll(tables.attemptsOfMessage.rows(id))
      // The rows of a session that lives may be read again from its files, and would be taken for new ones.
      const live = new Set<string>(tables.incarnationsLive.rows(ALL).map((row) => row.sessionId))
      const deliveries = tables.deliveriesEnded
        .leading(ALL, isOld, Infinity)
        .filter((row) => !live.has(row.sessionId))
        .slice(0, limit)
      // The newest stays: a session's next incarnation is numbered and judged by its last.
      const incarnations = tables.incarnationsEnded
        .leading(ALL, isOld, Infinity)
        .filter((row) => tables.incarnationsOfSession.rows(row.sessionId)[0]?.number !== row.number)
        .slice(0, limit)
      return (
        tables.messages.removeAll(messages) +
        tables.deliveries.removeAll(deliveries) +
        tables.incarnations.removeAll(incarnations) +
        tables.runs.removeAll(tables.runsEnded.leading(ALL, isOld, limit))
      )
    },
    deleteExpiredSessions: (before, limit) => {
      const expired = tables.sessionsExpiring
        .leading(ALL, (row) => row.expiresAt !== null && row.expiresAt < before, Infinity)
        .filter((row) => !row.live && row.queued === 0)
        .filter(
          (row) => reads.deliveries({ sessionId: row.id, statuses: ["pending"] }, { limit: 1 }).length === 0,
        )
        .slice(0, limit)
      for (const { id } of expired) tables.sessionState.remove(id)
      tables.sessions.removeAll(expired)
      return expired
    },
    trimRuns: (id, keep) => {
      tables.runs.removeAll(tables.runsOfSeries.rows(id).slice(keep))
    },
    trimEvents: (keep) => {
      const floor = lastEvent() - keep
      tables.events.removeAll(tables.eventsByPosition.leading(ALL, (row) => row.position <= floor, Infinity))
    },
  }) satisfies Partial<LedgerTx>
