/**
 * Writes inbound.db, the projection of the ledger that a container reads. Each projection opens the file, writes one
 * transaction that carries the revision, and closes: no connection is held between looks. A container can hold a lock on it,
 * so waiting is bounded and never blocks the event loop.
 */
import Database from "better-sqlite3"
import { Clock, Effect, Schedule } from "effect"
import * as fs from "node:fs"
import { formatExchangeTime } from "../../domain/ExchangeTime.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import {
  MailboxError,
  processAfterOf,
  type ProjectedDelivery,
  type ProjectedMessage,
  type ProjectedSeries,
  type Projection,
  ProjectionBlocked,
} from "../../services/Mailbox.ts"
import type { Destination } from "../../domain/Group.ts"
import { upsertSql } from "./ExchangeSchema.ts"

/** How long one projection waits for a lock, and how often it retries. A runner's read takes milliseconds. */
const LOCK_WAIT_MS = 200
const LOCK_RETRY_MS = 10
/** A lock that is still held this long after it was first seen is held on purpose. */
const LOCK_LIMIT_MS = 2_000

/** SQLite's `user_version` is a signed 32-bit number. */
const MAX_REVISION = 2 ** 31 - 1

const isBusy = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  typeof error.code === "string" &&
  error.code.startsWith("SQLITE_BUSY")

const failure = (file: string, error: unknown) =>
  new MailboxError({
    message: `${file} can't be written: ${String(error)}. It is rebuilt with the session's next container`,
  })

const blocked = (file: string) =>
  new ProjectionBlocked({ message: `${file} is locked by somebody else`, underWay: true })

/** Remembers since when each file has been locked. A projection waits briefly; the next one continues the count. */
export interface LockedSince {
  readonly wait: <A>(
    file: string,
    projection: Effect.Effect<A, MailboxError | ProjectionBlocked>,
  ) => Effect.Effect<A, MailboxError | ProjectionBlocked>
  readonly forgetBelow: (directory: string) => void
}

export const makeLockedSince = (): LockedSince => {
  const since = new Map<string, EpochMs>()
  return {
    wait: (file, projection) =>
      Effect.gen(function* () {
        const began = yield* Clock.currentTimeMillis
        return yield* projection.pipe(
          Effect.tap(() => Effect.sync(() => since.delete(file))),
          Effect.catchTag("ProjectionBlocked", (error) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              const first = Math.min(since.get(file) ?? began, now)
              since.set(file, first)
              return Effect.fail(
                now - first < LOCK_LIMIT_MS
                  ? error
                  : new ProjectionBlocked({
                      message: `${file} has been locked by somebody else for ${now - first} ms`,
                    }),
              )
            }),
          ),
        )
      }),
    forgetBelow: (directory) => {
      for (const file of since.keys()) if (file.startsWith(`${directory}/`)) since.delete(file)
    },
  }
}

/** One step on the open file. If somebody else holds a lock, it fails with `ProjectionBlocked` and changes nothing. */
const step = <A>(file: string, body: () => A): Effect.Effect<A, MailboxError | ProjectionBlocked> =>
  Effect.try({
    try: body,
    catch: (error) =>
      error instanceof MailboxError ? error : isBusy(error) ? blocked(file) : failure(file, error),
  })

/** One retry budget, shared by all steps of one projection. */
const waiting = () => {
  let retries = Math.ceil(LOCK_WAIT_MS / LOCK_RETRY_MS)
  return <A>(
    effect: Effect.Effect<A, MailboxError | ProjectionBlocked>,
  ): Effect.Effect<A, MailboxError | ProjectionBlocked> =>
    Effect.retry(effect, {
      schedule: Schedule.spaced(LOCK_RETRY_MS),
      while: (error) => error._tag === "ProjectionBlocked" && retries-- > 0,
    })
}

const open = (file: string): Effect.Effect<Database.Database, MailboxError> =>
  Effect.try({
    try: () => {
      if (fs.lstatSync(file).isFile()) return new Database(file, { fileMustExist: true, timeout: 0 })
      throw new Error("it is not a regular file")
    },
    catch: (error) => failure(file, error),
  })

const using = <A, E>(
  file: string,
  use: (database: Database.Database) => Effect.Effect<A, E>,
): Effect.Effect<A, E | MailboxError> =>
  Effect.acquireUseRelease(open(file), use, (database) => Effect.sync(() => database.close()))

const currentRevision = (database: Database.Database): number =>
  database.pragma("user_version", { simple: true }) as number

/** A file that was never projected has no container yet. After a crash it is thrown away, so it needs no journal on disk. */
const journal = (database: Database.Database): string =>
  `PRAGMA journal_mode = ${currentRevision(database) === 0 ? "MEMORY" : "PERSIST"}`

const UPSERT_MESSAGE = upsertSql("messages_in")
const UPSERT_DELIVERED = upsertSql("delivered")
const UPSERT_DESTINATION = upsertSql("destinations")
const UPSERT_ROUTING = upsertSql("session_routing")

const writeMessages = (
  database: Database.Database,
  messages: ReadonlyArray<ProjectedMessage>,
  now: EpochMs,
): void => {
  if (messages.length === 0) return
  const upsert = database.prepare(UPSERT_MESSAGE)
  for (const { message, status } of messages) {
    const processAfter = processAfterOf(message, now)
    upsert.run({
      ...message,
      status,
      timestamp: formatExchangeTime(message.acceptedAt),
      processAfter: processAfter === null ? null : formatExchangeTime(processAfter),
      recurrence: null,
      seriesId: message.seriesId ?? message.id,
      trigger: message.trigger ? 1 : 0,
      onWake: message.onWake ? 1 : 0,
    })
  }
}

/**
 * Previews are the rows whose `process_after` has a zone in brackets. A preview that left the list becomes `completed` without a
 * recurrence, which is how runners have always seen a cancelled task.
 */
const writeSeries = (
  database: Database.Database,
  series: ReadonlyArray<ProjectedSeries>,
  now: EpochMs,
): void => {
  for (const { id, nextSlotText } of series)
    if (!nextSlotText.includes("["))
      throw new MailboxError({
        message: `the preview of series ${id} has the time '${nextSlotText}', which a runner would take for due: use RFC 9557 text with its zone in brackets`,
      })
  const upsert = database.prepare(UPSERT_MESSAGE)
  const preview = { kind: "task", timestamp: formatExchangeTime(now), tries: 0, trigger: 0, onWake: 0 }
  for (const row of series)
    upsert.run({
      ...preview,
      ...row,
      processAfter: row.nextSlotText,
      seriesId: row.id,
      sourceSessionId: null,
    })
  database
    .prepare(
      `UPDATE messages_in SET status = 'completed', recurrence = NULL
      WHERE kind = 'task' AND id = series_id AND process_after LIKE '%[%' AND status IN ('pending', 'paused')
        AND id NOT IN (SELECT value FROM json_each(?))`,
    )
    .run(JSON.stringify(series.map(({ id }) => id)))
}

const writeDelivered = (database: Database.Database, rows: ReadonlyArray<ProjectedDelivery>): void => {
  if (rows.length === 0) return
  // A pair that an older daemon made has no such column.
  if (
    database.prepare("SELECT 1 FROM pragma_table_info('delivered') WHERE name = 'detail'").get() === undefined
  )
    database.exec("ALTER TABLE delivered ADD COLUMN detail TEXT")
  const upsert = database.prepare(UPSERT_DELIVERED)
  for (const row of rows)
    upsert.run({ ...row, messageOutId: row.outboundId, deliveredAt: formatExchangeTime(row.at) })
}

const writeDestinations = (database: Database.Database, rows: ReadonlyArray<Destination>): void => {
  database.exec("DELETE FROM destinations")
  const insert = database.prepare(UPSERT_DESTINATION)
  for (const row of rows) insert.run({ ...row })
}

/** Everything but the commit; leaves no transaction open when it fails. True when there is something to commit. */
const stage = (database: Database.Database, projection: Projection, now: EpochMs): boolean => {
  database.exec("BEGIN IMMEDIATE")
  try {
    if (currentRevision(database) >= projection.revision) {
      database.exec("ROLLBACK")
      return false
    }
    writeMessages(database, projection.messages, now)
    writeDelivered(database, projection.delivered)
    if (projection.series !== null) writeSeries(database, projection.series, now)
    if (projection.destinations !== null) writeDestinations(database, projection.destinations)
    if (projection.routing !== null) database.prepare(UPSERT_ROUTING).run({ id: 1, ...projection.routing })
    database.pragma(`user_version = ${projection.revision}`)
    return true
  } catch (error) {
    if (database.inTransaction) database.exec("ROLLBACK")
    throw error
  }
}

/** Applies the changes and the revision in one transaction; a file already at or past the revision is left alone. */
export const project = (
  file: string,
  projection: Projection,
): Effect.Effect<void, MailboxError | ProjectionBlocked> => {
  const { revision } = projection
  if (!Number.isInteger(revision) || revision < 0 || revision > MAX_REVISION)
    return Effect.fail(
      new MailboxError({ message: `revision ${revision} is not a whole number from 0 to ${MAX_REVISION}` }),
    )
  return using(file, (database) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const patiently = waiting()
      yield* patiently(step(file, () => database.exec(`PRAGMA synchronous = OFF; ${journal(database)}`)))
      const staged = yield* patiently(step(file, () => stage(database, projection, now)))
      // A commit that met a reader keeps its PENDING lock: no new reader starts while it waits for the current one.
      if (staged) yield* patiently(step(file, () => database.exec("COMMIT")))
    }),
  )
}

/** The revision that the file stands at. */
export const revision = (file: string): Effect.Effect<number, MailboxError> =>
  using(file, (database) => waiting()(step(file, () => currentRevision(database)))).pipe(
    Effect.catchTag("ProjectionBlocked", ({ message }) => Effect.fail(new MailboxError({ message }))),
  )
