/** Why the ledger says no. Four errors, each with a message that names the input and what would do. */
import { Result, Schema } from "effect"

/** Where an entity is listed. */
const commandOf = {
  group: "group",
  session: "session",
  message: "messages",
  task: "task",
  delivery: "deliveries",
} as const

/** Nothing of that id exists. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  entity: Schema.Literals(["group", "session", "message", "task", "delivery"]),
  id: Schema.String,
  message: Schema.String,
}) {
  static of(entity: NotFound["entity"], id: string): NotFound {
    return new NotFound({
      entity,
      id,
      message: `no ${entity} has the id '${id}'; 'lamplighter ${commandOf[entity]} list' shows those there are`,
    })
  }
}

/** It exists, in a way that contradicts the request: same id with other content, an old revision, a state that forbids it. */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", { message: Schema.String }) {}

export const conflict = (message: string) => Result.fail(new Conflict({ message }))

/** The request itself can't be right. */
export class Invalid extends Schema.TaggedError<Invalid>()("Invalid", {
  field: Schema.String,
  message: Schema.String,
}) {}

export const invalid = (field: string, message: string) => Result.fail(new Invalid({ field, message }))

/** A limit was reached; the same request may work later. */
export class Full extends Schema.TaggedError<Full>()("Full", { message: Schema.String }) {}

export type Refusal = NotFound | Conflict | Invalid | Full
