/**
 * System actions: rows of kind `system` that a container wrote. They are applied, never sent, in the transaction that ingests
 * them, so exactly once. Each is checked against what its session may do: the tasks of this session, nothing else.
 */
import { Option, Result, Schema } from "effect"
import { formatZoned } from "../../domain/ExchangeTime.ts"
import { MessageId, SeriesId } from "../../domain/Ids.ts"
import { describeSchedule } from "../../domain/Recurrence.ts"
import { previewOf } from "../../domain/SeriesSlots.ts"
import { enqueueDelivery, type NewDelivery } from "./Deliveries.ts"
import { insertDraft, plainDraft } from "./Accept.ts"
import type { Refusal } from "./Refusals.ts"
import {
  cancelSeries,
  createSeries,
  pauseSeries,
  readSchedule,
  resumeSeries,
  updateSeries,
} from "./SeriesTransitions.ts"
import type { SessionUnit } from "./SessionUnit.ts"

const Text = Schema.String.check(Schema.isMaxLength(100_000))
const NullableText = Schema.NullOr(Text)

/** The five task actions of docs/exchange.md. Unknown extra fields are ignored. */
export const SystemAction = Schema.Union([
  Schema.Struct({
    action: Schema.Literal("schedule_task"),
    taskId: SeriesId,
    prompt: Text.check(Schema.isMinLength(1)),
    script: Schema.optionalKey(NullableText),
    processAfter: Schema.optionalKey(NullableText),
    recurrence: Schema.optionalKey(NullableText),
    platformId: Schema.optionalKey(NullableText),
    channelType: Schema.optionalKey(NullableText),
    threadId: Schema.optionalKey(NullableText),
  }),
  Schema.Struct({ action: Schema.Literals(["cancel_task", "pause_task", "resume_task"]), taskId: SeriesId }),
  Schema.Struct({
    action: Schema.Literal("update_task"),
    taskId: SeriesId,
    prompt: Schema.optionalKey(Text),
    processAfter: Schema.optionalKey(NullableText),
    recurrence: Schema.optionalKey(NullableText),
    script: Schema.optionalKey(NullableText),
    revision: Schema.optionalKey(Schema.Int),
  }),
])
export type SystemAction = typeof SystemAction.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(SystemAction))

/** Applies one action, or refuses it and tells the agent why in a `chat` notice. */
export const applySystemAction = (unit: SessionUnit, row: NewDelivery): void => {
  const delivery = enqueueDelivery(unit, { ...row, deliverAfter: null })
  const action = decode(row.content)
  const refusal = Option.isNone(action)
    ? "this system action is not known or its fields are wrong: schedule_task, cancel_task, pause_task, resume_task and update_task are applied; anything else needs an operator"
    : refusalOf(perform(unit, action.value))
  unit.tx.putDelivery({
    ...delivery,
    status: refusal === null ? "applied" : "refused",
    nextAttemptAt: null,
    lastError: refusal,
    endedAt: unit.context.now,
  })
  const name = Option.isSome(action) ? `${action.value.action} ${action.value.taskId}` : "unknown action"
  unit.event("action", null, refusal === null ? name : `${name} refused: ${refusal}`)
  if (refusal !== null) notify(unit, "chat", `${name} was refused: ${refusal}`)
  else if (Option.isSome(action))
    notify(unit, "system", appliedText(unit, name, SeriesId.make(action.value.taskId)))
}

const SHOWN_SLOTS = 3

/** What will happen now, in words: context for the agent, which wakes nobody. */
const appliedText = (unit: SessionUnit, name: string, id: SeriesId): string => {
  const series = unit.tx.series(id)
  if (series === undefined || series.nextSlot === null || series.status !== "active") {
    return `${name} is done: the task is ${series?.status ?? "gone"}`
  }
  const slots = [series.nextSlot, ...previewOf(series, series.nextSlot, SHOWN_SLOTS - 1)]
  return `${name} is done: ${describeSchedule(series.schedule)}; next: ${slots.map((slot) => formatZoned(slot, series.zone)).join(", ")}`
}

const refusalOf = (result: Result.Result<unknown, Refusal>): string | null =>
  Result.isFailure(result) ? result.failure.message : null

const perform = (unit: SessionUnit, action: SystemAction): Result.Result<unknown, Refusal> => {
  switch (action.action) {
    case "schedule_task":
      return Result.flatMap(
        readSchedule(unit, {
          recurrence: action.recurrence ?? null,
          processAfter: action.processAfter ?? null,
        }),
        (schedule) =>
          createSeries(unit, {
            id: action.taskId,
            name: null,
            prompt: action.prompt,
            script: action.script ?? null,
            schedule,
            priority: 1,
            ttlMs: null,
            channelType: action.channelType ?? null,
            platformId: action.platformId ?? null,
            threadId: action.threadId ?? null,
          }),
      )
    case "cancel_task":
      return cancelSeries(unit, action.taskId)
    case "pause_task":
      return pauseSeries(unit, action.taskId, "paused by the agent")
    case "resume_task":
      return resumeSeries(unit, action.taskId)
    case "update_task":
      return updateSeries(unit, action.taskId, action)
  }
}

/** A refusal is a `chat` message, which the agent answers; an answer is `system`, which rides along. */
const notify = (unit: SessionUnit, kind: "chat" | "system", text: string): void => {
  const number = unit.session().hostSeq + 2
  insertDraft(
    unit,
    plainDraft({
      id: MessageId.make(`notice-${unit.session().id}-${number}`),
      kind,
      content: JSON.stringify(
        kind === "chat" ? { text, sender: { id: "lamplighter", name: "Lamplighter" } } : { text },
      ),
      dueAt: unit.context.now,
    }),
  )
}
