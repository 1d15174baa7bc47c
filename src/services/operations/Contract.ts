/**
 * Every operation, declared once: what it takes, what it answers and how it can fail, as plain Schemas. The service `Operations`, the
 * routes of the daemon's socket and the client of that socket are derived from this list. It loads no server and no HTTP library.
 */
import { type Effect, Schema, Struct } from "effect"
import { Delivery, DeliveryStatus } from "../../domain/Delivery.ts"
import { Group } from "../../domain/Group.ts"
import { DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import { EpochMs } from "../../domain/Instant.ts"
import { LedgerEvent } from "../../domain/LedgerEvent.ts"
import { MessageState, ShownMessage } from "../../domain/Message.ts"
import { Run, RunOutcome } from "../../domain/Run.ts"
import { Series, SeriesStatus } from "../../domain/Series.ts"
import { Session, SessionStatus } from "../../domain/Session.ts"
import { RuntimeUnavailable } from "../ContainerRuntime.ts"
import { Conflict, Full, Invalid, NotFound } from "../ledger/Refusals.ts"
import { LedgerError } from "../LedgerDriver.ts"
import * as Requests from "./Requests.ts"

const operation = <
  const Input extends Schema.Struct.Fields,
  Output extends Schema.Top,
  const Errors extends ReadonlyArray<Schema.Top>,
>(
  input: Input,
  output: Output,
  ...errors: Errors
) => ({ input: Schema.Struct(input), output, error: Schema.Union([LedgerError, ...errors]) })

/** A listing of rows that match the filters given: one page, after the id or position of the last row of the page before. */
const listing = <
  Row extends Schema.Top,
  const Filters extends Schema.Struct.Fields,
  After extends Schema.Top,
>(
  row: Row,
  filters: Filters,
  after: After,
) => {
  const input = Schema.Struct({ ...filters, limit: Requests.PageLimit, after })
  return {
    input: input.mapFields(Struct.map(Schema.optional)),
    output: Schema.Array(row),
    error: LedgerError,
  }
}

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
  sessions: listing(Session, { groupId: GroupId, status: SessionStatus }, Schema.String),
  session: operation({ id: SessionId }, Requests.SessionReport, NotFound),
  /** `force` wakes a session although the caps on containers leave no room. */
  controlSession: operation(
    { id: SessionId, what: Requests.SessionVerb, force: Schema.optionalKey(Schema.Boolean) },
    Session,
    NotFound,
    Conflict,
  ),
  /** The last bytes of what the session's running container wrote; null when none runs. */
  liveOutput: operation(
    { id: SessionId },
    Schema.NullOr(
      Schema.Struct({
        incarnation: Schema.Int,
        /** Both streams in order of time, without doorbells. */
        text: Schema.String,
      }),
    ),
    NotFound,
    RuntimeUnavailable,
  ),
  send: operation(Requests.SendRequest.fields, Requests.SendReply, ...refusals),
  /** Each is accepted or refused by itself, in their order; all of them in one transaction. */
  sendBatch: operation(
    { requests: Schema.Array(Requests.SendRequest).check(Schema.isMaxLength(Requests.MAX_SEND_BATCH)) },
    Schema.Array(Requests.BatchReply),
  ),
  messages: listing(
    ShownMessage,
    { sessionId: SessionId, taskId: SeriesId, state: MessageState },
    Schema.String,
  ),
  message: operation({ id: MessageId }, Requests.MessageReport, NotFound),
  /** `running`: also one that a container works on; it is stopped, and the others that it claimed pay nothing. */
  cancelMessage: operation(
    { id: MessageId, which: Schema.optional(Schema.Literals(["waiting", "running"])) },
    ShownMessage,
    NotFound,
    Conflict,
  ),
  redriveMessage: operation({ id: MessageId }, ShownMessage, ...refusals),
  deliveries: listing(Delivery, { sessionId: SessionId, status: DeliveryStatus }, Schema.Int),
  redriveDelivery: operation({ id: DeliveryId }, Delivery, NotFound, Conflict),
  addTask: operation(Requests.TaskRequest.fields, Series, ...refusals),
  changeTask: operation({ id: SeriesId, change: Requests.TaskChange }, Series, ...refusals),
  runTask: operation({ id: SeriesId }, ShownMessage, ...refusals),
  backfillTask: operation(
    {
      id: SeriesId,
      /** Repeating a backfill under the same name makes nothing twice. */
      name: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/)),
      from: EpochMs,
      to: EpochMs,
    },
    Schema.Array(ShownMessage),
    ...refusals,
  ),
  /** `count`: how many of its next instants. */
  task: operation(
    { id: SeriesId, count: Schema.optional(Requests.PageLimit) },
    Requests.TaskReport,
    NotFound,
  ),
  tasks: listing(Series, { groupId: GroupId, sessionId: SessionId, status: SeriesStatus }, Schema.String),
  runs: listing(Run, { sessionId: SessionId, taskId: SeriesId, outcome: RunOutcome }, Schema.Int),
  /** What happened, oldest first: what is newer than `after`. `newest-first`: what is older than it. */
  events: listing(
    LedgerEvent,
    { sessionId: SessionId, order: Schema.Literals(["oldest-first", "newest-first"]) },
    Schema.Int,
  ),
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
