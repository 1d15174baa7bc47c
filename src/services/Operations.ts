/**
 * What operators and programs ask of Lamplighter: every request is checked here, answered from the ledger, and rings the loop that
 * has to act. The CLI and the HTTP API say the same things to the same functions, which operations/ holds, one family a file.
 */
import { Context, Effect, Layer } from "effect"
import type { Delivery } from "../domain/Delivery.ts"
import type { Group } from "../domain/Group.ts"
import type { DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import type { Message } from "../domain/Message.ts"
import type { Run } from "../domain/Run.ts"
import type { Series } from "../domain/Series.ts"
import type { Session } from "../domain/Session.ts"
import type { Cancellable } from "./ledger/Accept.ts"
import type { ContainerRuntime, RuntimeUnavailable } from "./ContainerRuntime.ts"
import type { Conflict, Full, Invalid, NotFound, Refusal } from "./ledger/Refusals.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import type { Nudge } from "./Nudge.ts"
import { makeGroupRequests } from "./operations/GroupRequests.ts"
import { makeHistoryRequests } from "./operations/HistoryRequests.ts"
import { knownChannels, unknownChannels } from "./operations/KnownChannels.ts"
import { makeMessageRequests } from "./operations/MessageRequests.ts"
import type {
  DeliveryQuery,
  EventQuery,
  GroupChange,
  LiveOutput,
  MessageQuery,
  MessageReport,
  NewGroup,
  RunQuery,
  SendReply,
  SendRequest,
  SessionQuery,
  SessionReport,
  SessionVerb,
  Status,
} from "./operations/Requests.ts"
import { makeSending } from "./operations/Sending.ts"
import { makeSessionRequests } from "./operations/SessionRequests.ts"
import { makeTaskRequests } from "./operations/TaskRequests.ts"
import type { BackfillRequest, TaskChange, TaskQuery, TaskReport, TaskRequest } from "./operations/Tasks.ts"
import type { SessionStore } from "./SessionStore.ts"
import type { Sweep } from "./Sweep.ts"

type Refused = Refusal | LedgerError

export interface OperationsOptions {
  readonly runtime: string
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly look: Nudge
  readonly deliver: Nudge
  /** The configured channels; requests that name another are refused. Absent: nobody knows, and every name will do. */
  readonly channels?: ReadonlyArray<string> | undefined
  /** What an operator should know of the host, as it stands when asked. */
  readonly warnings?: (() => ReadonlyArray<string>) | undefined
  /** Ends the program that runs the daemon; without it `shutdown` does nothing. */
  readonly shutdown?: Effect.Effect<void> | undefined
}

export class Operations extends Context.Service<
  Operations,
  {
    readonly addGroup: (group: NewGroup) => Effect.Effect<Group, Conflict | Invalid | LedgerError>
    readonly updateGroup: (
      id: GroupId,
      change: GroupChange,
    ) => Effect.Effect<Group, NotFound | Conflict | Invalid | LedgerError>
    readonly groups: Effect.Effect<ReadonlyArray<Group>, LedgerError>
    readonly group: (id: GroupId) => Effect.Effect<Group, NotFound | LedgerError>
    readonly sessions: (filter: SessionQuery) => Effect.Effect<ReadonlyArray<Session>, LedgerError>
    readonly session: (id: SessionId) => Effect.Effect<SessionReport, NotFound | LedgerError>
    readonly controlSession: (
      id: SessionId,
      what: SessionVerb,
    ) => Effect.Effect<Session, NotFound | Conflict | LedgerError>
    /** What the session's running container wrote; null when none runs. */
    readonly liveOutput: (
      id: SessionId,
    ) => Effect.Effect<LiveOutput | null, NotFound | RuntimeUnavailable | LedgerError>
    readonly send: (request: SendRequest) => Effect.Effect<SendReply, Refused>
    readonly messages: (filter: MessageQuery) => Effect.Effect<ReadonlyArray<Message>, LedgerError>
    readonly message: (id: MessageId) => Effect.Effect<MessageReport, NotFound | LedgerError>
    /** `running`: also one that a container works on; it is stopped, and the others that it claimed pay nothing. */
    readonly cancelMessage: (
      id: MessageId,
      which?: Cancellable,
    ) => Effect.Effect<Message, NotFound | Conflict | LedgerError>
    readonly redriveMessage: (
      id: MessageId,
    ) => Effect.Effect<Message, NotFound | Conflict | Full | Invalid | LedgerError>
    readonly deliveries: (filter: DeliveryQuery) => Effect.Effect<ReadonlyArray<Delivery>, LedgerError>
    readonly redriveDelivery: (id: DeliveryId) => Effect.Effect<Delivery, NotFound | Conflict | LedgerError>
    readonly addTask: (request: TaskRequest) => Effect.Effect<Series, Refused>
    readonly changeTask: (id: SeriesId, change: TaskChange) => Effect.Effect<Series, Refused>
    readonly runTask: (id: SeriesId) => Effect.Effect<Message, Refused>
    readonly backfillTask: (
      id: SeriesId,
      request: BackfillRequest,
    ) => Effect.Effect<ReadonlyArray<Message>, Refused>
    /** `count`: how many of its next instants. */
    readonly task: (id: SeriesId, count?: number) => Effect.Effect<TaskReport, NotFound | LedgerError>
    readonly tasks: (filter: TaskQuery) => Effect.Effect<ReadonlyArray<Series>, LedgerError>
    readonly runs: (filter: RunQuery) => Effect.Effect<ReadonlyArray<Run>, LedgerError>
    /** What happened, oldest first above the position `after`, or newest first below it. */
    readonly events: (filter: EventQuery) => Effect.Effect<ReadonlyArray<LedgerEvent>, LedgerError>
    readonly status: Effect.Effect<Status, LedgerError>
    /** A consistent copy of the ledger, made while it is in use, at a path of the daemon's host that holds nothing yet. */
    readonly backup: (path: string) => Effect.Effect<void, LedgerError>
    /** Asks the daemon to stop as at SIGTERM, and returns before it has. */
    readonly shutdown: Effect.Effect<void>
  }
>()("lamplighter/services/Operations") {
  static readonly layer = (
    options: OperationsOptions,
  ): Layer.Layer<Operations, never, SessionStore | Sweep | ContainerRuntime> =>
    Layer.effect(Operations, make(options))
}

const make = Effect.fnUntraced(function* (options: OperationsOptions) {
  const channels = options.channels === undefined ? unknownChannels : knownChannels(options.channels)

  return Operations.of({
    ...(yield* makeGroupRequests({ ...options, channels })),
    ...(yield* makeSessionRequests(options)),
    ...(yield* makeMessageRequests(options)),
    ...(yield* makeTaskRequests(options)),
    ...(yield* makeHistoryRequests(options)),
    send: yield* makeSending({ ...options, channels }),
    shutdown: options.shutdown ?? Effect.void,
  })
})
