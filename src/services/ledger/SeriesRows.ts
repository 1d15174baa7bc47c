/** The rows of one series as the transitions find and write them: whose it is, its next row, and the record of slots that did not run. */
import { Result } from "effect"
import type { SeriesId } from "../../domain/Ids.ts"
import { MessageId } from "../../domain/Ids.ts"
import type { RunOutcome } from "../../domain/Run.ts"
import * as Tasks from "../../domain/Series.ts"
import type { Series } from "../../domain/Series.ts"
import type { SlotRange } from "../../domain/SlotDecision.ts"
import { findOwnSeries } from "./FindSeries.ts"
import { recordRun } from "./History.ts"
import { Conflict, NotFound } from "./Refusals.ts"
import type { SessionUnit } from "./SessionUnit.ts"

/** Writes a series and lets the projection know. */
export const putSeries = (unit: SessionUnit, series: Tasks.SeriesRow): Series => {
  unit.tx.putSeries(series)
  unit.revision()
  return series
}

export const amendSeries = (unit: SessionUnit, series: Series, patch: Tasks.SeriesPatch): Series =>
  putSeries(unit, Tasks.amendedSeries(series, patch))

export const moveSeries = (
  unit: SessionUnit,
  series: Series,
  event: Tasks.SeriesEvent,
  patch: Tasks.SeriesPatch,
): Result.Result<Series, Conflict> =>
  Result.mapBoth(Tasks.movedSeries(series, event, patch), {
    onSuccess: (row) => putSeries(unit, row),
    onFailure: ({ status }) => new Conflict({ message: `task '${series.id}' is ${status}; make a new one` }),
  })

/** The series of the session whose unit it is; anybody else's is not found. */
export const ownSeries = (unit: SessionUnit, id: SeriesId): Result.Result<Series, NotFound> => {
  const series = findOwnSeries(unit.tx, id, unit.session().id)
  return series === undefined ? Result.fail(NotFound.of("task", id)) : Result.succeed(series)
}

const MAX_ID = 128

/** Ids of long task ids are cut at the front, where they differ least from each other. */
export const occurrenceId = (text: string): MessageId => MessageId.make(`occ-${text.slice(-(MAX_ID - 4))}`)

/** A slot that did not run has a row too; equal ones in a row are one row with a count. */
export const recordSlots = (
  unit: SessionUnit,
  series: Series,
  range: SlotRange,
  outcome: RunOutcome,
  why: string,
): void =>
  recordRun(unit.tx, {
    sessionId: series.sessionId,
    groupId: series.groupId,
    seriesId: series.id,
    messageId: null,
    slot: range.last,
    dueAt: range.first,
    wokenAt: null,
    claimedAt: null,
    endedAt: unit.context.now,
    durationMs: null,
    attempts: 0,
    outcome,
    error: why,
    result: null,
    incarnation: 0,
    logFile: null,
    count: range.count,
  })
