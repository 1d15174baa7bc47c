/**
 * What operators and programs ask of Lamplighter: every request is checked here, answered from the ledger, and rings the loop that
 * has to act. The CLI and the HTTP API say the same things to the same functions.
 */
import { Clock, Context, Effect, Layer, Result, Schema } from "effect"
import { gateCommand, defaultCommands } from "../domain/CommandGate.ts"
import type { Delivery } from "../domain/Delivery.ts"
import type { Group } from "../domain/Group.ts"
import { type DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { EpochMs } from "../domain/Instant.ts"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import type { Message } from "../domain/Message.ts"
import { checkContent } from "../domain/MessageContent.ts"
import { describeSchedule, parseSchedule, preview, validateZone } from "../domain/Recurrence.ts"
import { Run } from "../domain/Run.ts"
import { Series } from "../domain/Series.ts"
import type { Session, SessionMode } from "../domain/Session.ts"
import { ContainerRef, ContainerRuntime, RuntimeUnavailable } from "./ContainerRuntime.ts"
import { newId } from "./Ids.ts"
import { plainDraft } from "./ledger/Accept.ts"
import { Conflict, type Full, Invalid, NotFound, type Refusal } from "./ledger/Refusals.ts"
import type { LedgerError } from "./LedgerDriver.ts"
import type { Nudge } from "./Nudge.ts"
import {
  DEFAULT_PAGE,
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
import { SessionStore } from "./SessionStore.ts"
import { Sweep } from "./Sweep.ts"

/** Nameless rows belong to a message until this long after its end: the look that follows it has then happened. */
const LAST_LOOK_MS = 1_500
/** Of what a running container wrote, per stream. */
const LIVE_OUTPUT_BYTES = 64 * 1024
/** Instants and runs that a task's report shows. */
const SHOWN_SLOTS = 3
const SHOWN_RUNS = 30
/** Lives that a session's report shows. */
const SHOWN_LIVES = 20

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

/** A task with its next instants and its last runs, newest first. */
export const TaskReport = Schema.Struct({
  task: Series,
  /** The schedule in words. */
  words: Schema.String,
  next: Schema.Array(EpochMs),
  runs: Schema.Array(Run),
})
export type TaskReport = typeof TaskReport.Type

/** Later than any instant that a ledger holds. */
const FAR_FUTURE = Number.MAX_SAFE_INTEGER

type Refused = Refusal | LedgerError

export interface OperationsOptions {
  readonly runtime: string
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly look: Nudge
  readonly deliver: Nudge
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
    ) => Effect.Effect<Session, NotFound | LedgerError>
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
    readonly task: (id: SeriesId) => Effect.Effect<TaskReport, NotFound | LedgerError>
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
  const sweep = yield* Sweep
  const runtime = yield* ContainerRuntime
  const looked = Effect.tap(options.look.ring)

  const groupOf = Effect.fnUntraced(function* (id: GroupId) {
    const group = yield* store.read((reader) => reader.group(id))
    return group ?? (yield* NotFound.of("group", id))
  })

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
      yield* checkGroup(group)
      const createdAt = yield* Clock.currentTimeMillis
      return yield* store.putGroup({ ...group, createdAt, revision: 1 })
    }),
    updateGroup: Effect.fnUntraced(function* (id, { revision, ...change }) {
      const stored = yield* groupOf(id)
      const changed = { ...stored, ...change, revision: (revision ?? stored.revision) + 1 }
      yield* checkGroup(changed)
      return yield* looked(store.putGroup(changed))
    }),
    groups: store.read((reader) => reader.groups()),
    group: groupOf,
    sessions: ({ groupId, status, ...page }) =>
      store.read((reader) => reader.sessions({ groupId, status }, pageOf(page))),
    session: Effect.fnUntraced(function* (id) {
      const report = yield* store.read((reader): SessionReport | undefined => {
        const session = reader.session(id)
        if (session === undefined) return undefined
        return { session, incarnations: reader.incarnations(id, { limit: SHOWN_LIVES }) }
      })
      return report ?? (yield* NotFound.of("session", id))
    }),
    liveOutput: Effect.fnUntraced(function* (id) {
      const live = yield* store.read((reader) => {
        const session = reader.session(id)
        return session === undefined ? undefined : { row: reader.incarnation(id, session.incarnation) }
      })
      if (live === undefined) return yield* NotFound.of("session", id)
      const { row } = live
      if (row === undefined || row.phase === "ended" || row.handle === null) return null
      const output = yield* runtime.output(decodeHandle(row.handle), LIVE_OUTPUT_BYTES)
      return { incarnation: row.number, ...output }
    }),
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
    messages: ({ sessionId, state, taskId, ...page }) =>
      store.read((reader) =>
        reader.messages(
          { sessionId, seriesId: taskId, states: state === undefined ? undefined : [state] },
          pageOf(page),
        ),
      ),
    message: Effect.fnUntraced(function* (id) {
      const report = yield* store.read((reader): MessageReport | undefined => {
        const message = reader.message(id)
        if (message === undefined) return undefined
        const rows = reader.deliveries({ sessionId: message.sessionId }, { limit: DEFAULT_PAGE })
        return {
          message,
          answers: rows.filter((row) => answers(message, row)).toReversed(),
          wakeError: reader.session(message.sessionId)?.wakeError ?? null,
        }
      })
      return report ?? (yield* NotFound.of("message", id))
    }),
    cancelMessage: (id) => looked(store.cancelMessage(id)),
    redriveMessage: Effect.fnUntraced(function* (id) {
      const accepted = yield* store.redriveMessage(id, MessageId.make(yield* newId("m")))
      yield* options.look.ring
      return accepted.message
    }),
    deliveries: ({ sessionId, status, ...page }) =>
      store.read((reader) =>
        reader.deliveries({ sessionId, statuses: status === undefined ? undefined : [status] }, pageOf(page)),
      ),
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
    task: Effect.fnUntraced(function* (id) {
      const now = yield* Clock.currentTimeMillis
      const report = yield* store.read((reader): TaskReport | undefined => {
        const task = reader.series(id)
        if (task === undefined) return undefined
        const runs = reader.runs({ seriesId: id }, { limit: SHOWN_RUNS })
        const next =
          task.status !== "active" || task.nextSlot === null
            ? []
            : [task.nextSlot, ...preview(task.schedule, Math.max(now, task.nextSlot), SHOWN_SLOTS - 1)]
        return { task, words: describeSchedule(task.schedule), next, runs }
      })
      return report ?? (yield* NotFound.of("task", id))
    }),
    tasks: store.read((reader) => reader.seriesList({}, { limit: DEFAULT_PAGE })),
    runs: ({ outcome, sessionId, taskId, ...page }) =>
      store.read((reader) =>
        reader.runs(
          { sessionId, seriesId: taskId, outcomes: outcome === undefined ? undefined : [outcome] },
          pageOf(page),
        ),
      ),
    events: ({ sessionId, ...page }) =>
      store.read((reader) => reader.events({ sessionId }, pageOf({ ...page, after: page.after ?? 0 }))),
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
        quarantined: reader.sessions({ status: "quarantined" }, { limit: DEFAULT_PAGE }),
        failing: ([2, 1, 0] as const)
          .flatMap((priority) => reader.sessionsToWake("idle", priority, FAR_FUTURE, DEFAULT_PAGE))
          .filter(({ wakeError }) => wakeError !== null),
        nextWakeAt: reader.nextWakeAfter(now),
        nextSlotAt: reader.nextSlot(),
      }))
    }),
    backup: store.backup,
    shutdown: options.shutdown ?? Effect.void,
  })
})

/** What holds for a group beyond its schema. */
const checkGroup = Effect.fnUntraced(function* (group: Omit<NewGroup, "id"> & { readonly id: GroupId }) {
  if (group.zone !== null) {
    const zone = validateZone(group.zone)
    if (Result.isFailure(zone)) return yield* new Invalid({ field: "zone", message: zone.failure.message })
  }
  const names = new Set<string>()
  for (const destination of group.destinations) {
    const where = `destination '${destination.name}'`
    if (names.has(destination.name)) {
      return yield* new Invalid({
        field: "destinations",
        message: `${where} is there twice; names must differ`,
      })
    }
    names.add(destination.name)
    if (destination.type === "agent" && destination.agentGroupId === null) {
      return yield* new Invalid({
        field: "destinations",
        message: `${where} is an agent; say which group receives, as agentGroupId`,
      })
    }
    if (destination.type === "channel" && destination.channelType === null) {
      return yield* new Invalid({
        field: "destinations",
        message: `${where} is a channel; say which, as channelType`,
      })
    }
  }
  if (group.provider.name === "command" && group.provider.command === null) {
    return yield* new Invalid({
      field: "provider",
      message: `the provider 'command' needs the program to run, as a list of words`,
    })
  }
})

const decodeHandle = Schema.decodeUnknownSync(Schema.fromJsonString(ContainerRef))

const pageOf = <A extends string | number>(page: {
  readonly limit?: number | undefined
  readonly after?: A | undefined
}) => ({ limit: page.limit ?? DEFAULT_PAGE, after: page.after })

/** Whether a row belongs to a message: it says so, or it was written between the message's claim and the look after its end. */
const answers = (message: Message, row: Delivery): boolean =>
  row.inReplyTo === message.id ||
  (row.inReplyTo === null &&
    message.claimedAt !== null &&
    row.createdAt >= message.claimedAt &&
    (message.endedAt === null || row.createdAt <= message.endedAt + LAST_LOOK_MS))
