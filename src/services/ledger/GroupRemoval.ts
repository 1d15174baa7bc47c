/**
 * The removal of a group: its work ends first, then its row goes. Sessions, messages, runs and deliveries stay as history for their
 * own retention, and what has been written for a channel is still delivered.
 */
import { Result } from "effect"
import type { Group } from "../../domain/Group.ts"
import type { GroupId } from "../../domain/Ids.ts"
import { plural } from "../../domain/ScheduleWords.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import { requestStop } from "./Admission.ts"
import { cancelOpen } from "./Finish.ts"
import { Conflict, NotFound } from "./Refusals.ts"
import { cancelSeries } from "./SeriesTransitions.ts"
import { openUnit, type TransitionContext, withUnit } from "./SessionUnit.ts"

/** Tasks, sessions, and messages of a session that one transaction ends. */
const MAX_STEP = 100

const WHY = "its group was removed"

/** What becomes of queued work. `refuse`: the group stays while there is some. */
export type QueuedWork = "refuse" | "cancel"

/** `Going`: a part of its work was cancelled; call again for the rest. */
export type Removal =
  | { readonly _tag: "Removed"; readonly group: Group }
  | { readonly _tag: "Going"; readonly cancelled: number }

export const removeGroup = (
  tx: LedgerTx,
  id: GroupId,
  queued: QueuedWork,
  context: TransitionContext,
): Result.Result<Removal, NotFound | Conflict> => {
  const group = tx.group(id)
  if (group === undefined) return Result.fail(NotFound.of("group", id))
  const tasks = (["active", "paused"] as const).flatMap((status) =>
    tx.seriesList({ groupId: id, status }, { limit: MAX_STEP }),
  )
  const busy = tx.sessionsWithWork(id, MAX_STEP)
  if (queued === "refuse") {
    const waiting = busy.reduce((sum, session) => sum + session.queued, 0)
    if (tasks.length + waiting > 0) return Result.fail(stillNeeded(id, tasks.length, waiting))
  }
  let cancelled = 0
  for (const { id: task, sessionId } of tasks) {
    if (withUnit(tx, sessionId, context, (unit) => cancelSeries(unit, task)) !== undefined) cancelled += 1
  }
  for (const { id: session } of busy) {
    const unit = openUnit(tx, session, context)
    if (unit === undefined) continue
    const open = tx.messages({ sessionId: session, states: ["pending", "claimed"] }, { limit: MAX_STEP })
    for (const { id: message } of open) {
      // The end of one may have ended others.
      const current = tx.message(message)
      if (current?.state === "pending" || current?.state === "claimed") cancelOpen(unit, current, WHY)
    }
    cancelled += open.length
    unit.close()
  }
  if (cancelled > 0) return Result.succeed({ _tag: "Going", cancelled })
  for (const { groupId, number, sessionId } of tx.liveIncarnations()) {
    if (groupId === id) requestStop(tx, sessionId, number, "operator", WHY, context)
  }
  tx.deleteGroup(id)
  const text = `group ${id} was removed`
  tx.appendEvent({ at: context.now, type: "released", sessionId: null, messageId: null, text })
  return Result.succeed({ _tag: "Removed", group })
}

const stillNeeded = (id: GroupId, tasks: number, waiting: number): Conflict =>
  new Conflict({
    message: `group '${id}' has ${plural(tasks, "task")} and ${plural(waiting, "message")} that have not ended; wait for them, or cancel them with 'lamplighter group remove ${id} --queued cancel'`,
  })
