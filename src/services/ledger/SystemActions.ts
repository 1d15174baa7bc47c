/**
 * System actions: rows of kind `system` that a container wrote. They are applied, never sent, in the transaction that ingests
 * them, so exactly once, and the agent is told what came of each. What each may do, `TaskActions.ts` says.
 */
import { Option, Result, Schema } from "effect"
import { type DeliveryEvent, transitionDelivery } from "../../domain/Delivery.ts"
import { enqueueDelivery, type NewDelivery } from "./Deliveries.ts"
import { taskHome } from "./FindSeries.ts"
import { notifyAgent } from "./Notices.ts"
import { NotFound } from "./Refusals.ts"
import { requestPackages } from "./PackageRequests.ts"
import { inSession, type SessionUnit } from "./SessionUnit.ts"
import { performTaskAction, TaskAction } from "./TaskActions.ts"

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(TaskAction))

const decodeName = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ action: Schema.String })))
/** Of the name of an action that is not known, in what the agent is told. */
const MAX_NAME = 100

const KNOWN = TaskAction.members.flatMap(({ fields }) =>
  "literals" in fields.action ? fields.action.literals : [fields.action.literal],
)

/** Applies one action, or refuses it and tells the agent why in a `chat` notice. */
export const applySystemAction = (unit: SessionUnit, row: NewDelivery): void => {
  const delivery = enqueueDelivery(unit, { ...row, deliverAfter: null })
  const action = decode(row.content)
  const packages = requestPackages(unit, row.content)
  const name = Option.isNone(action)
    ? Option.match(decodeName(row.content), {
        onNone: () => "unknown action",
        onSome: ({ action: asked }) => asked.slice(0, MAX_NAME),
      })
    : `${action.value.action}${"taskId" in action.value ? ` ${action.value.taskId}` : ""}`
  const done = Option.isNone(action)
    ? (packages ??
      Result.fail({
        message: `this system action is not known or its fields are wrong: ${KNOWN.join(", ")} are applied; anything else needs an operator`,
      }))
    : perform(unit, action.value)
  // What was asked is answered once in `delivered`, and once in words: a refusal and the answer to a question wake the agent.
  const at = { now: unit.context.now, revision: unit.revision() }
  const reason = Result.isFailure(done) ? done.failure.message : null
  const event: DeliveryEvent = Result.isFailure(done)
    ? { _tag: "refuse", reason: done.failure.message, refusal: null }
    : { _tag: "apply", detail: done.success.text }
  unit.tx.putDelivery(transitionDelivery(delivery, event, at) ?? delivery)
  unit.event("action", null, reason === null ? name : `${name} refused: ${reason}`)
  if (Result.isFailure(done)) notifyAgent(unit, "chat", `${name} was refused: ${done.failure.message}`)
  else notifyAgent(unit, done.success.kind === "question" ? "chat" : "system", done.success.text)
}

const perform = (unit: SessionUnit, action: TaskAction) => {
  const home = taskHome(unit.tx, unit.session())
  return (
    inSession(unit, home, (own) => performTaskAction(own, action)) ??
    Result.fail(NotFound.of("session", home))
  )
}
