/**
 * System actions: rows of kind `system` that a container wrote. They are applied, never sent, in the transaction that ingests
 * them, so exactly once, and the agent is told what came of each. What each may do, `TaskActions.ts` says.
 */
import { Option, Result, Schema } from "effect"
import { MessageId } from "../../domain/Ids.ts"
import { enqueueDelivery, type NewDelivery } from "./Deliveries.ts"
import { insertDraft, plainDraft } from "./Accept.ts"
import { taskHome } from "./FindSeries.ts"
import { NotFound } from "./Refusals.ts"
import { requestPackages } from "./PackageRequests.ts"
import { inSession, type SessionUnit } from "./SessionUnit.ts"
import { performTaskAction, TaskAction } from "./TaskActions.ts"

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(TaskAction))

const KNOWN = TaskAction.members.flatMap(({ fields }) =>
  "literals" in fields.action ? fields.action.literals : [fields.action.literal],
)

/** Applies one action, or refuses it and tells the agent why in a `chat` notice. */
export const applySystemAction = (unit: SessionUnit, row: NewDelivery): void => {
  const delivery = enqueueDelivery(unit, { ...row, deliverAfter: null })
  const action = decode(row.content)
  const packages = requestPackages(unit, row.content)
  const name = Option.isNone(action)
    ? packages === undefined
      ? "unknown action"
      : "install_packages"
    : `${action.value.action}${"taskId" in action.value ? ` ${action.value.taskId}` : ""}`
  const done = Option.isNone(action)
    ? (packages ??
      Result.fail({
        message: `this system action is not known or its fields are wrong: ${KNOWN.join(", ")} are applied; anything else needs an operator`,
      }))
    : perform(unit, action.value)
  const refusal = Result.isFailure(done) ? done.failure.message : null
  unit.tx.putDelivery({
    ...delivery,
    status: refusal === null ? "applied" : "refused",
    nextAttemptAt: null,
    lastError: refusal,
    endedAt: unit.context.now,
  })
  unit.event("action", null, refusal === null ? name : `${name} refused: ${refusal}`)
  if (Result.isFailure(done)) notify(unit, "chat", `${name} was refused: ${done.failure.message}`)
  else notify(unit, done.success.kind === "question" ? "chat" : "system", done.success.text)
}

const perform = (unit: SessionUnit, action: TaskAction) => {
  const home = taskHome(unit.tx, unit.session())
  return (
    inSession(unit, home, (own) => performTaskAction(own, action)) ??
    Result.fail(NotFound.of("session", home))
  )
}

/** A refusal, and the answer to a question, is a `chat` message, which wakes the agent; what was done is `system`, which rides along. */
const notify = (unit: SessionUnit, kind: "chat" | "system", text: string): void => {
  // An agent that asks faster than it reads is not answered for ever.
  if (unit.session().queued >= unit.policy.maxQueuedMessages) return
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
