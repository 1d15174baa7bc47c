/**
 * What operators and programs ask of Lamplighter: every request is checked here, answered from the ledger, and rings the loop that
 * has to act. The CLI and the HTTP API say the same things to the same functions.
 */
import { Clock, Context, Effect, Layer, Result, Schema, Struct } from "effect"
import type { Delivery } from "../domain/Delivery.ts"
import type { Group } from "../domain/Group.ts"
import { type DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { EpochMs } from "../domain/Instant.ts"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import { type Message, Priority } from "../domain/Message.ts"
import { describeSchedule, parseSchedule } from "../domain/Recurrence.ts"
import { Run } from "../domain/Run.ts"
import { RunStatistics, statisticsOf } from "../domain/RunStatistics.ts"
import { Series } from "../domain/Series.ts"
import { CatchUpPolicy, OverlapPolicy, SeriesBounds, SeriesPolicy } from "../domain/SeriesPolicy.ts"
import { previewOf } from "../domain/SeriesSlots.ts"
import type { Session } from "../domain/Session.ts"
import type { ContainerRuntime, RuntimeUnavailable } from "./ContainerRuntime.ts"
import { newId } from "./Ids.ts"
import { type Conflict, type Full, Invalid, NotFound, type Refusal } from "./ledger/Refusals.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import type { Nudge } from "./Nudge.ts"
import { makeGroupRequests } from "./operations/GroupRequests.ts"
import { makeHistoryRequests } from "./operations/HistoryRequests.ts"
import { knownChannels, unknownChannels } from "./operations/KnownChannels.ts"
import { makeMessageRequests } from "./operations/MessageRequests.ts"
import {
  DEFAULT_PAGE,
  MAX_PAGE,
  type DeliveryQuery,
  type EventQuery,
  type GroupChange,
  type LiveOutput,
  type MessageQuery,
  type MessageReport,
  type NewGroup,
  type RunQuery,
  type SendReply,
  type SendRequest,
  type SessionQuery,
  type SessionReport,
  type SessionVerb,
  type Status,
} from "./operations/Requests.ts"
import { makeSending } from "./operations/Sending.ts"
import { findsSession, makeSessionRequests } from "./operations/SessionRequests.ts"
import { SessionStore } from "./SessionStore.ts"
import type { Sweep } from "./Sweep.ts"

/** Instants and runs that a task's report shows. */
const SHOWN_SLOTS = 3
const SHOWN_RUNS = 30

/** Any of a struct's fields. */
const partly = <const Fields extends Schema.Struct.Fields>(struct: Schema.Struct<Fields>) =>
  struct.mapFields(Struct.map(Schema.optionalKey))

/** What a task may say beyond its schedule. Absent: the default, or at an update what it was. */
const settings = {
  overlap: Schema.optionalKey(OverlapPolicy),
  catchUp: Schema.optionalKey(CatchUpPolicy),
  bounds: Schema.optionalKey(partly(SeriesBounds)),
  policy: Schema.optionalKey(partly(SeriesPolicy)),
}

export const TaskRequest = Schema.Struct({
  id: Schema.optionalKey(SeriesId),
  groupId: GroupId,
  sessionId: Schema.optionalKey(SessionId),
  name: Schema.NullOr(Schema.String),
  prompt: Schema.String.check(Schema.isMinLength(1)),
  script: Schema.NullOr(Schema.String),
  schedule: Schema.String,
  zone: Schema.NullOr(Schema.String),
  ttlMs: Schema.NullOr(Schema.Int),
  priority: Schema.optionalKey(Priority),
  ...settings,
})
export type TaskRequest = typeof TaskRequest.Type

export const TaskChange = Schema.Union([
  Schema.TaggedStruct("Pause", { note: Schema.NullOr(Schema.String) }),
  Schema.TaggedStruct("Resume", { pausedSlots: Schema.optionalKey(Schema.Literals(["record", "catch-up"])) }),
  Schema.TaggedStruct("Cancel", {}),
  Schema.TaggedStruct("Update", {
    change: Schema.Struct({
      prompt: Schema.optionalKey(Schema.String),
      script: Schema.optionalKey(Schema.NullOr(Schema.String)),
      recurrence: Schema.optionalKey(Schema.NullOr(Schema.String)),
      processAfter: Schema.optionalKey(Schema.NullOr(Schema.String)),
      revision: Schema.optionalKey(Schema.Int),
      ttlMs: Schema.optionalKey(Schema.NullOr(Schema.Int)),
      priority: Schema.optionalKey(Priority),
      ...settings,
    }),
  }),
])
export type TaskChange = typeof TaskChange.Type

export const BackfillRequest = Schema.Struct({
  /** Repeating a backfill under the same name makes nothing twice. */
  name: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/)),
  from: EpochMs,
  to: EpochMs,
})
export type BackfillRequest = typeof BackfillRequest.Type

/** A task with its next instants and its last runs, newest first. */
export const TaskReport = Schema.Struct({
  task: Series,
  /** The schedule in words. */
  words: Schema.String,
  next: Schema.Array(EpochMs),
  runs: Schema.Array(Run),
  /** Over its last runs, up to `MAX_PAGE`. */
  statistics: RunStatistics,
})
export type TaskReport = typeof TaskReport.Type

type Refused = Refusal | LedgerError

export interface OperationsOptions {
  readonly runtime: string
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly look: Nudge
  readonly deliver: Nudge
  /** The configured channels; requests that name another are refused. Absent: nobody knows, and every name will do. */
  readonly channels?: ReadonlyArray<string> | undefined
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
    readonly cancelMessage: (id: MessageId) => Effect.Effect<Message, NotFound | Conflict | LedgerError>
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
    readonly tasks: Effect.Effect<ReadonlyArray<Series>, LedgerError>
    readonly runs: (filter: RunQuery) => Effect.Effect<ReadonlyArray<Run>, LedgerError>
    /** What happened, oldest first, above the position `after`. */
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
  const store = yield* SessionStore
  const looked = Effect.tap(options.look.ring)

  const channels = options.channels === undefined ? unknownChannels : knownChannels(options.channels)
  const send = yield* makeSending({ ...options, channels })
  const sessionFor = findsSession(store)

  return Operations.of({
    ...(yield* makeGroupRequests({ ...options, channels })),
    ...(yield* makeSessionRequests(options)),
    ...(yield* makeMessageRequests(options)),
    ...(yield* makeHistoryRequests(options)),
    send,
    addTask: Effect.fnUntraced(function* (request) {
      const session = yield* sessionFor({ groupId: request.groupId, sessionId: request.sessionId })
      const group = yield* store.read((reader) => reader.group(session.groupId))
      const zone = request.zone ?? group?.zone ?? store.options.zone
      const now = yield* Clock.currentTimeMillis
      const schedule = parseSchedule(request.schedule, { zone, now })
      if (Result.isFailure(schedule)) {
        return yield* new Invalid({ field: "schedule", message: schedule.failure.message })
      }
      const id = request.id ?? SeriesId.make(yield* newId("t"))
      return yield* looked(
        store.createSeries(session.id, {
          id,
          name: request.name,
          prompt: request.prompt,
          script: request.script,
          schedule: schedule.success,
          priority: request.priority ?? 1,
          ttlMs: request.ttlMs,
          channelType: null,
          platformId: null,
          threadId: null,
          overlap: request.overlap,
          catchUp: request.catchUp,
          bounds: request.bounds,
          policy: request.policy,
        }),
      )
    }),
    changeTask: (id, change) => looked(store.changeSeries(id, change)),
    runTask: Effect.fnUntraced(function* (id) {
      return yield* looked(store.runSeriesNow(id, MessageId.make(yield* newId("run"))))
    }),
    backfillTask: (id, request) => looked(store.backfillSeries(id, request)),
    task: Effect.fnUntraced(function* (id, count = SHOWN_SLOTS) {
      const now = yield* Clock.currentTimeMillis
      const report = yield* store.read((reader): TaskReport | undefined => {
        const task = reader.series(id)
        if (task === undefined) return undefined
        const runs = reader.runs({ seriesId: id }, { limit: MAX_PAGE })
        const next =
          task.status !== "active" || task.nextSlot === null
            ? []
            : [task.nextSlot, ...previewOf(task, Math.max(now, task.nextSlot), count - 1)]
        return {
          task,
          words: describeSchedule(task.schedule),
          next,
          runs: runs.slice(0, SHOWN_RUNS),
          statistics: statisticsOf(runs),
        }
      })
      return report ?? (yield* NotFound.of("task", id))
    }),
    tasks: store.read((reader) => reader.seriesList({}, { limit: DEFAULT_PAGE })),
    shutdown: options.shutdown ?? Effect.void,
  })
})
