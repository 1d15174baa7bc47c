/**
 * What operators and programs ask of Lamplighter: every request is checked here, answered from the ledger, and rings the loop that
 * has to act. The CLI and the HTTP API say the same things to the same functions.
 */
import { Clock, Context, Effect, Layer, Result, Schema } from "effect"
import { gateCommand, defaultCommands } from "../domain/CommandGate.ts"
import { Delivery } from "../domain/Delivery.ts"
import { Group } from "../domain/Group.ts"
import { DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { EpochMs } from "../domain/Instant.ts"
import { LedgerEvent } from "../domain/LedgerEvent.ts"
import { Message, MessageKind, MessageState, Priority } from "../domain/Message.ts"
import { checkContent } from "../domain/MessageContent.ts"
import { parseSchedule, validateZone } from "../domain/Recurrence.ts"
import { Run } from "../domain/Run.ts"
import { Series } from "../domain/Series.ts"
import { Session, SessionMode } from "../domain/Session.ts"
import { newId } from "./Ids.ts"
import { plainDraft } from "./ledger/Accept.ts"
import { Conflict, type Full, Invalid, NotFound, type Refusal } from "./ledger/Refusals.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import type { Nudge } from "./Nudge.ts"
import { SessionStore } from "./SessionStore.ts"
import { Sweep } from "./Sweep.ts"

/** A message to send. Without a session it goes to the one that group, mode and address resolve to. */
export const SendRequest = Schema.Struct({
  id: Schema.optionalKey(MessageId),
  groupId: Schema.optionalKey(GroupId),
  sessionId: Schema.optionalKey(SessionId),
  mode: Schema.optionalKey(SessionMode),
  channelType: Schema.optionalKey(Schema.NullOr(Schema.String)),
  platformId: Schema.optionalKey(Schema.NullOr(Schema.String)),
  threadId: Schema.optionalKey(Schema.NullOr(Schema.String)),
  userId: Schema.optionalKey(Schema.NullOr(Schema.String)),
  kind: MessageKind,
  content: Schema.Unknown,
  trigger: Schema.optionalKey(Schema.Boolean),
  onWake: Schema.optionalKey(Schema.Boolean),
  priority: Schema.optionalKey(Priority),
  dueAt: Schema.optionalKey(EpochMs),
  ttlMs: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
})
export type SendRequest = typeof SendRequest.Type

export const SendReply = Schema.Struct({
  outcome: Schema.Literals(["accepted", "existing", "dropped", "refused"]),
  message: Schema.NullOr(Message),
  /** Why a slash command was dropped or refused. */
  reason: Schema.NullOr(Schema.String),
})
export type SendReply = typeof SendReply.Type

/** A message with everything that it led to. */
export const MessageReport = Schema.Struct({ message: Message, answers: Schema.Array(Delivery) })
export type MessageReport = typeof MessageReport.Type

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
})
export type TaskRequest = typeof TaskRequest.Type

export const TaskChange = Schema.Union([
  Schema.TaggedStruct("Pause", { note: Schema.NullOr(Schema.String) }),
  Schema.TaggedStruct("Resume", {}),
  Schema.TaggedStruct("Cancel", {}),
  Schema.TaggedStruct("Update", {
    change: Schema.Struct({
      prompt: Schema.optionalKey(Schema.String),
      script: Schema.optionalKey(Schema.NullOr(Schema.String)),
      recurrence: Schema.optionalKey(Schema.NullOr(Schema.String)),
      processAfter: Schema.optionalKey(Schema.NullOr(Schema.String)),
      revision: Schema.optionalKey(Schema.Int),
    }),
  }),
])
export type TaskChange = typeof TaskChange.Type

export const Status = Schema.Struct({
  runtime: Schema.String,
  live: Schema.Array(
    Schema.Struct({
      sessionId: SessionId,
      incarnation: Schema.Int,
      phase: Schema.String,
      spawnedAt: EpochMs,
    }),
  ),
  quarantined: Schema.Array(Session),
  nextWakeAt: Schema.NullOr(EpochMs),
  nextSlotAt: Schema.NullOr(EpochMs),
})
export type Status = typeof Status.Type

/** Rows of one page of any listing. */
const PAGE = 200

type Refused = Refusal | LedgerError

export interface OperationsOptions {
  readonly runtime: string
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly look: Nudge
  readonly deliver: Nudge
}

export class Operations extends Context.Service<
  Operations,
  {
    readonly addGroup: (
      group: Omit<Group, "createdAt" | "revision">,
    ) => Effect.Effect<Group, Conflict | Invalid | LedgerError>
    readonly groups: Effect.Effect<ReadonlyArray<Group>, LedgerError>
    readonly sessions: Effect.Effect<ReadonlyArray<Session>, LedgerError>
    readonly controlSession: (
      id: SessionId,
      what: "stop" | "hold" | "wake" | "release",
    ) => Effect.Effect<Session, NotFound | LedgerError>
    readonly send: (request: SendRequest) => Effect.Effect<SendReply, Refused>
    readonly messages: (filter: {
      readonly sessionId?: SessionId | undefined
      readonly states?: ReadonlyArray<MessageState> | undefined
    }) => Effect.Effect<ReadonlyArray<Message>, LedgerError>
    readonly message: (id: MessageId) => Effect.Effect<MessageReport, NotFound | LedgerError>
    readonly cancelMessage: (id: MessageId) => Effect.Effect<Message, NotFound | Conflict | LedgerError>
    readonly redriveMessage: (
      id: MessageId,
    ) => Effect.Effect<Message, NotFound | Conflict | Full | Invalid | LedgerError>
    readonly deliveries: Effect.Effect<ReadonlyArray<Delivery>, LedgerError>
    readonly redriveDelivery: (id: DeliveryId) => Effect.Effect<Delivery, NotFound | Conflict | LedgerError>
    readonly addTask: (request: TaskRequest) => Effect.Effect<Series, Refused>
    readonly changeTask: (id: SeriesId, change: TaskChange) => Effect.Effect<Series, Refused>
    readonly runTask: (id: SeriesId) => Effect.Effect<Message, Refused>
    readonly tasks: Effect.Effect<ReadonlyArray<Series>, LedgerError>
    readonly runs: (filter: {
      readonly seriesId?: SeriesId | undefined
    }) => Effect.Effect<ReadonlyArray<Run>, LedgerError>
    /** What happened, oldest first, above the position `after`. */
    readonly events: (after: number) => Effect.Effect<ReadonlyArray<LedgerEvent>, LedgerError>
    readonly status: Effect.Effect<Status, LedgerError>
  }
>()("lamplighter/services/Operations") {
  static readonly layer = (
    options: OperationsOptions,
  ): Layer.Layer<Operations, never, SessionStore | Sweep> => Layer.effect(Operations, make(options))
}

const make = Effect.fnUntraced(function* (options: OperationsOptions) {
  const store = yield* SessionStore
  const sweep = yield* Sweep
  const looked = Effect.tap(options.look.ring)

  /** The session that a request means; made when it is the first of its conversation. */
  const sessionFor = Effect.fnUntraced(function* (request: {
    readonly groupId?: GroupId | undefined
    readonly sessionId?: SessionId | undefined
    readonly mode?: SessionMode | undefined
    readonly channelType?: string | null | undefined
    readonly platformId?: string | null | undefined
    readonly threadId?: string | null | undefined
  }) {
    if (request.sessionId !== undefined) {
      const { sessionId } = request
      const session = yield* store.read((reader) => reader.session(sessionId))
      return session === undefined ? yield* NotFound.of("session", sessionId) : session
    }
    if (request.groupId === undefined) {
      return yield* new Invalid({
        field: "groupId",
        message: "name a session, or the group whose session shall have it",
      })
    }
    return yield* store.resolveSession({
      id: SessionId.make(yield* newId("s")),
      groupId: request.groupId,
      mode: request.mode ?? "shared",
      address: {
        channelType: request.channelType ?? "stdout",
        platformId: request.platformId ?? "cli",
        threadId: request.threadId ?? null,
      },
    })
  })

  const send = Effect.fnUntraced(function* (request: SendRequest) {
    const content = checkContent(request.kind, request.content, store.options.limits.maxContentBytes)
    if (Result.isFailure(content)) {
      return yield* new Invalid({ field: "content", message: content.failure.message })
    }
    const session = yield* sessionFor(request)
    const gate = yield* gateOf(request, session)
    if (gate !== null) return gate
    const now = yield* Clock.currentTimeMillis
    const dueAt = request.dueAt ?? now
    const accepted = yield* store.accept(
      session.id,
      plainDraft({
        id: request.id ?? MessageId.make(yield* newId("m")),
        kind: request.kind,
        content: content.success,
        dueAt,
        trigger: request.trigger ?? true,
        onWake: request.onWake ?? false,
        priority: request.priority ?? 1,
        expiresAt: request.ttlMs === undefined ? null : dueAt + request.ttlMs,
        channelType: request.channelType ?? null,
        platformId: request.platformId ?? null,
        threadId: request.threadId ?? null,
      }),
    )
    yield* options.look.ring
    return {
      outcome: accepted._tag === "Accepted" ? "accepted" : "existing",
      message: accepted.message,
      reason: null,
    } satisfies SendReply
  })

  /** Slash commands end here, unless they pass. Null: not a command, or one for the agent. */
  const gateOf = Effect.fnUntraced(function* (request: SendRequest, session: Session) {
    if (request.kind !== "chat") return null
    const { text } = request.content as { readonly text: string }
    const group = yield* store.read((reader) => reader.group(session.groupId))
    const decision = gateCommand(
      { text, userId: request.userId ?? null },
      { owners: options.owners, globalAdmins: options.globalAdmins, groupAdmins: group?.admins ?? [] },
      defaultCommands,
    )
    switch (decision._tag) {
      case "Pass":
        return null
      case "Drop":
        return {
          outcome: "dropped",
          message: null,
          reason: `/${decision.command} has no meaning here`,
        } satisfies SendReply
      case "Refuse":
        return { outcome: "refused", message: null, reason: decision.message } satisfies SendReply
    }
  })

  return Operations.of({
    addGroup: Effect.fnUntraced(function* (group) {
      if (group.zone !== null) {
        const zone = validateZone(group.zone)
        if (Result.isFailure(zone))
          return yield* new Invalid({ field: "zone", message: zone.failure.message })
      }
      const createdAt = yield* Clock.currentTimeMillis
      return yield* store.putGroup({ ...group, createdAt, revision: 1 })
    }),
    groups: store.read((reader) => reader.groups()),
    sessions: store.read((reader) => reader.sessions({}, { limit: PAGE })),
    controlSession: Effect.fnUntraced(function* (id, what) {
      const session = yield* store.read((reader) => reader.session(id))
      if (session === undefined) return yield* NotFound.of("session", id)
      if (what === "hold") yield* store.setStatus(id, "held", "held by an operator")
      if (what === "release") yield* store.setStatus(id, "active", null)
      if (what === "stop" || what === "hold") yield* sweep.stop(id, "an operator asked for it")
      if (what === "wake") yield* sweep.wake(id)
      yield* options.look.ring
      return (yield* store.read((reader) => reader.session(id))) ?? session
    }),
    send,
    messages: (filter) => store.read((reader) => reader.messages(filter, { limit: PAGE })),
    message: Effect.fnUntraced(function* (id) {
      const report = yield* store.read((reader): MessageReport | undefined => {
        const message = reader.message(id)
        if (message === undefined) return undefined
        const rows = reader.deliveries({ sessionId: message.sessionId }, { limit: PAGE })
        return { message, answers: rows.filter((row) => answers(message, row)).toReversed() }
      })
      return report ?? (yield* NotFound.of("message", id))
    }),
    cancelMessage: (id) => looked(store.cancelMessage(id)),
    redriveMessage: Effect.fnUntraced(function* (id) {
      const accepted = yield* store.redriveMessage(id, MessageId.make(yield* newId("m")))
      yield* options.look.ring
      return accepted.message
    }),
    deliveries: store.read((reader) => reader.deliveries({}, { limit: PAGE })),
    redriveDelivery: (id) => Effect.tap(store.redriveDelivery(id), options.deliver.ring),
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
          priority: 1,
          ttlMs: request.ttlMs,
          channelType: null,
          platformId: null,
          threadId: null,
        }),
      )
    }),
    changeTask: (id, change) => looked(store.changeSeries(id, change)),
    runTask: Effect.fnUntraced(function* (id) {
      return yield* looked(store.runSeriesNow(id, MessageId.make(yield* newId("run"))))
    }),
    tasks: store.read((reader) => reader.seriesList({}, { limit: PAGE })),
    runs: (filter) => store.read((reader) => reader.runs(filter, { limit: PAGE })),
    events: (after) => store.read((reader) => reader.events({}, { after, limit: PAGE })),
    status: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      return yield* store.read((reader): Status => ({
        runtime: options.runtime,
        live: reader.liveIncarnations().map((row) => ({
          sessionId: row.sessionId,
          incarnation: row.number,
          phase: row.phase,
          spawnedAt: row.spawnedAt,
        })),
        quarantined: reader.sessions({ status: "quarantined" }, { limit: PAGE }),
        nextWakeAt: reader.nextWakeAfter(now),
        nextSlotAt: reader.nextSlot(),
      }))
    }),
  })
})

/** Whether a row belongs to a message: it says so, or it was written between the message's claim and its end. */
const answers = (message: Message, row: Delivery): boolean =>
  row.inReplyTo === message.id ||
  (row.inReplyTo === null &&
    message.claimedAt !== null &&
    row.createdAt >= message.claimedAt &&
    (message.endedAt === null || row.createdAt <= message.endedAt))
