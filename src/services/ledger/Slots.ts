/**
 * The transaction in which slots come due: each series that is due gets its occurrences, or a record of why not, and its next slot. The
 * unique (series, slot, origin) makes a repeat harmless.
 */
import { Result } from "effect"
import {
  decideSlots,
  type Outage,
  priorityOfSlot,
  type SlotFate,
  whyMissed,
} from "../../domain/SlotDecision.ts"
import { movedSeries, scheduleOrigin, type Series } from "../../domain/Series.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { cancelOpen, openOf } from "./Finish.ts"
import { insertOccurrence } from "./Occurrences.ts"
import { amendSeries, moveSeries, occurrenceId, recordSlots } from "./SeriesRows.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"

/** Deals with the series that are due, at most `limit`. Returns how many it dealt with; call again at the limit. */
export const fireSlots = (
  tx: LedgerTx,
  limit: number,
  context: TransitionContext,
  outage: Outage | null = null,
): number => {
  const due = tx.dueSeries(context.now, limit)
  for (const series of due) {
    const unit = openUnit(tx, series.sessionId, context)
    if (unit === undefined) {
      const gone = movedSeries(series, "cancel", { nextSlot: null, note: "its session is gone" })
      tx.putSeries(Result.getOrThrow(gone))
      continue
    }
    fireSlot(unit, series, outage)
    unit.close()
  }
  return due.length
}

/** Deals with the slots of one series that have come. */
export const fireSlot = (unit: SessionUnit, series: Series, outage: Outage | null = null): void => {
  const { buffered, running } = openOf(unit, series)
  const decision = decideSlots(series, unit.context.now, { running, buffered: buffered.length })
  if (decision._tag === "NotDue") return
  if (decision.missed !== null) {
    recordSlots(unit, series, decision.missed, "missed", whyMissed(decision.missed, outage))
  }
  for (const fate of decision.fates) meetFate(unit, series, fate)
  const fired = decision.fates.filter(({ _tag }) => _tag !== "Skip").length
  const { lastSlot, nextSlot } = decision
  const patch = { lastSlot, nextSlot, fired: series.fired + fired }
  // The end of an occurrence that was replaced may have changed the row; nothing else has.
  const replaced = decision.fates.some(({ _tag }) => _tag === "Replace")
  const current = (replaced ? unit.tx.series(series.id) : undefined) ?? series
  if (nextSlot !== null || current.status !== "active") amendSeries(unit, current, patch)
  else Result.getOrThrow(moveSeries(unit, current, "complete", patch))
}

const meetFate = (unit: SessionUnit, series: Series, fate: SlotFate): void => {
  const { slot } = fate
  if (fate._tag === "Skip") {
    const range = { first: slot, last: slot, count: 1 }
    recordSlots(unit, series, range, "overlap", "the occurrence before had not ended")
    return
  }
  const origin = scheduleOrigin(series)
  if (unit.tx.occurrence(series.id, slot, origin) !== undefined) return
  if (fate._tag === "Replace") {
    for (const open of openOf(unit, series).rows) {
      cancelOpen(unit, open, "the next occurrence took its place (overlap cancel-other)")
    }
  }
  const id = occurrenceId(`${series.id}-${slot}${series.grid === 0 ? "" : `-${series.grid}`}`)
  insertOccurrence(unit, series, {
    id,
    slot,
    origin,
    dueAt: fate._tag === "Buffer" ? "held-back" : fate.dueAt,
    priority: priorityOfSlot(series, slot, unit.context.now),
  })
  unit.event("slot", id, `task ${series.id}${fate._tag === "Buffer" ? ", waits for the one before" : ""}`)
}
