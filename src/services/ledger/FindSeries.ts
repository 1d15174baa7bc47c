/** Which series an id means, in which session a session's tasks are at home, and which rows have a zone that is no longer taken. */
import { Result } from "effect"
import type { MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import type { Series } from "../../domain/Series.ts"
import type { Session } from "../../domain/Session.ts"
import { describeProblem } from "../../domain/TextProblem.ts"
import { parseZone } from "../../domain/Zone.ts"
import type { LedgerReader } from "../LedgerDriver.ts"

/** By its own id, or by that of one of its occurrences. */
const seriesOfId = (reader: LedgerReader, id: string): Series | undefined => {
  const named = reader.series(id as SeriesId)
  if (named !== undefined) return named
  const of = reader.message(id as MessageId)?.seriesId ?? null
  return of === null ? undefined : reader.series(of)
}

/** As operators name it: also by what its agent calls it, where only one agent has a task of that name. */
export const findSeries = (reader: LedgerReader, id: string): Series | undefined => {
  const [only, another] = reader.seriesByTask(id, null, 2)
  return seriesOfId(reader, id) ?? (another === undefined ? only : undefined)
}

/** As an agent names it: its own names first. Another session's series answers as one that does not exist. */
export const findOwnSeries = (reader: LedgerReader, id: string, sessionId: SessionId): Series | undefined => {
  const found = reader.seriesByTask(id, sessionId, 1)[0] ?? seriesOfId(reader, id)
  return found?.sessionId === sessionId ? found : undefined
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
  return seriesOfId(reader, session.key.slice(RUN_KEY.length))?.sessionId ?? session.id
}

/** A zone that was taken once and that nobody may choose now. Its tasks go on; `problem` names the zones that may have been meant. */
export interface RefusedZone {
  readonly kind: "group" | "task"
  readonly id: string
  readonly zone: string
  readonly problem: string
}

const PAGE = 1_000

/** The groups, and the tasks that have not ended, whose zone is refused today; at most `limit`. */
export const refusedZones = (reader: LedgerReader, limit: number): ReadonlyArray<RefusedZone> => {
  const found: Array<RefusedZone> = []
  const look = (kind: RefusedZone["kind"], id: string, zone: string | null): void => {
    const parsed = zone === null ? null : parseZone(zone)
    if (zone !== null && parsed !== null && Result.isFailure(parsed))
      found.push({ kind, id, zone, problem: describeProblem(zone, parsed.failure) })
  }
  for (const { id, zone } of reader.groups()) look("group", id, zone)
  for (const status of ["active", "paused"] as const) {
    let after: SeriesId | undefined
    do {
      const page = reader.seriesList({ status }, { limit: PAGE, after })
      for (const { id, zone } of page) look("task", id, zone)
      after = page.length < PAGE ? undefined : page.at(-1)?.id
    } while (after !== undefined && found.length < limit)
  }
  return found.slice(0, limit)
}
