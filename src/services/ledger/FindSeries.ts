/** Which series an id means, and in which session a session's tasks are at home. */
import type { MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import type { Series } from "../../domain/Series.ts"
import type { Session } from "../../domain/Session.ts"
import type { LedgerReader } from "../LedgerDriver.ts"

/** By its own id, or by that of one of its occurrences, which is what an agent has before its eyes. */
export const findSeries = (reader: LedgerReader, id: string): Series | undefined => {
  const named = reader.series(id as SeriesId)
  if (named !== undefined) return named
  const of = reader.message(id as MessageId)?.seriesId ?? null
  return of === null ? undefined : reader.series(of)
}

const RUN_KEY = "task:"

/** The key of the fresh session of an isolated run. */
export const runKey = (occurrence: MessageId): string => `${RUN_KEY}${occurrence}`

/**
 * Where the tasks are that a session may see and change. An isolated run has those of the session that its own task belongs to: its
 * own session goes when its time is over, and what it schedules must not go with it.
 */
export const taskHome = (
  reader: LedgerReader,
  session: Pick<Session, "id" | "origin" | "key">,
): SessionId => {
  if (session.origin !== "task" || !session.key.startsWith(RUN_KEY)) return session.id
  return findSeries(reader, session.key.slice(RUN_KEY.length))?.sessionId ?? session.id
}
