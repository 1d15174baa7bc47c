/**
 * Every operation, declared once: what it takes, what it answers and how it can fail, as plain Schemas. The service `Operations`, the
 * routes of the daemon's socket and the client of that socket are derived from this list. It loads no server and no HTTP library.
 */
import { type Effect, Schema } from "effect"
import { Delivery } from "../../domain/Delivery.ts"
import { Group } from "../../domain/Group.ts"
import { DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import { LedgerEvent } from "../../domain/LedgerEvent.ts"
import { ShownMessage } from "../../domain/Message.ts"
import { Run } from "../../domain/Run.ts"
import { Series } from "../../domain/Series.ts"
import { Session } from "../../domain/Session.ts"
import { RuntimeUnavailable } from "../ContainerRuntime.ts"
import { Conflict, Full, Invalid, NotFound } from "../ledger/Refusals.ts"
import { LedgerError } from "../LedgerDriver.ts"
import * as Requests from "./Requests.ts"
import * as Tasks from "./Tasks.ts"

const operation = <
  const Input extends Schema.Struct.Fields,
  Output extends Schema.Top,
  const Errors extends ReadonlyArray<Schema.Top>,
>(
  input: Input,
  output: Output,
  ...errors: Errors
) => ({ input: Schema.Struct(input), output, error: Schema.Union([LedgerError, ...errors]) })

const refusals = [NotFound, Conflict, Invalid, Full] as const

export const contract = {
  addGroup: operation(Requests.NewGroup.fields, Group, Conflict, Invalid),
  updateGroup: operation({ id: GroupId, ...Requests.GroupChange.fields }, Group, NotFound, Conflict, Invalid),
  /** Refused while it has tasks or messages that have not ended, unless they are to be cancelled. Its history stays. */
  removeGroup: operation(
    { id: GroupId, queued: Schema.optional(Schema.Literals(["refuse", "cancel"])) },
    Group,
    NotFound,
    Conflict,
  ),
  groups: operation({}, Schema.Array(Group)),
  group: operation({ id: GroupId }, Group, NotFound),
  sessions: operation(Requests.SessionQuery.fields, Schema.Array(Session)),
  session: operation({ id: SessionId }, Requests.SessionReport, NotFound),
  /** `force` wakes a session although the caps on containers leave no room. */
  controlSession: operation(
    { id: SessionId, what: Requests.SessionVerb, force: Schema.optionalKey(Schema.Boolean) },
    Session,
    NotFound,
    Conflict,
  ),
  /** What the session's running container wrote; null when none runs. */
  liveOutput: operation({ id: SessionId }, Schema.NullOr(Requests.LiveOutput), NotFound, RuntimeUnavailable),
  send: operation(Requests.SendRequest.fields, Requests.SendReply, ...refusals),
  /** Each is accepted or refused by itself, in their order; all of them in one transaction. */
  sendBatch: operation(
    { requests: Schema.Array(Requests.SendRequest).check(Schema.isMaxLength(Requests.MAX_SEND_BATCH)) },
    Schema.Array(Requests.BatchReply),
  ),
  messages: operation(Requests.MessageQuery.fields, Schema.Array(ShownMessage)),
  message: operation({ id: MessageId }, Requests.MessageReport, NotFound),
  /** `running`: also one that a container works on; it is stopped, and the others that it claimed pay nothing. */
  cancelMessage: operation(
    { id: MessageId, which: Schema.optional(Schema.Literals(["waiting", "running"])) },
    ShownMessage,
    NotFound,
    Conflict,
  ),
  redriveMessage: operation({ id: MessageId }, ShownMessage, ...refusals),
  deliveries: operation(Requests.DeliveryQuery.fields, Schema.Array(Delivery)),
  redriveDelivery: operation({ id: DeliveryId }, Delivery, NotFound, Conflict),
  addTask: operation(Tasks.TaskRequest.fields, Series, ...refusals),
  changeTask: operation({ id: SeriesId, change: Tasks.TaskChange }, Series, ...refusals),
  runTask: operation({ id: SeriesId }, ShownMessage, ...refusals),
  backfillTask: operation(
    { id: SeriesId, ...Tasks.BackfillRequest.fields },
    Schema.Array(ShownMessage),
    ...refusals,
  ),
  /** `count`: how many of its next instants. */
  task: operation({ id: SeriesId, count: Schema.optional(Requests.PageLimit) }, Tasks.TaskReport, NotFound),
  tasks: operation(Tasks.TaskQuery.fields, Schema.Array(Series)),
  runs: operation(Requests.RunQuery.fields, Schema.Array(Run)),
  /** What happened, oldest first above the position `after`, or newest first below it. */
  events: operation(Requests.EventQuery.fields, Schema.Array(LedgerEvent)),
  status: operation({}, Requests.Status),
  /** A consistent copy of the ledger, made while it is in use, at a path of the daemon's host that holds nothing yet. */
  backup: operation({ path: Schema.NonEmptyString }, Schema.Struct({ path: Schema.String })),
  /** Asks the daemon to stop as at SIGTERM, and returns before it has. */
  shutdown: operation({}, Schema.Struct({ stopping: Schema.Literal(true) })),
}

type Contract = typeof contract
export type OperationName = keyof Contract
export type InputOf<Name extends OperationName> = Contract[Name]["input"]["Type"]

/** The input; it may be left out where every field of it may. */
type Given<Input> = {} extends Input ? [input?: Input] : [input: Input]

/** The operations as functions; `Failure` is what they can fail with beyond their declared errors. */
export type OperationsThat<Failure> = {
  readonly [Name in OperationName]: (
    ...given: Given<InputOf<Name>>
  ) => Effect.Effect<Contract[Name]["output"]["Type"], Contract[Name]["error"]["Type"] | Failure>
}
