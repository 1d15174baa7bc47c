/** The requests and answers of `Operations`, as schemas: the CLI, the HTTP API and programs say the same things. */
import { Schema, Struct } from "effect"
import { Address } from "../../domain/Address.ts"
import { Delivery } from "../../domain/Delivery.ts"
import { partly } from "../../domain/Fields.ts"
import { Group, GroupContainer, ProviderConfig } from "../../domain/Group.ts"
import { GroupId, MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import { Incarnation } from "../../domain/Incarnation.ts"
import { EpochMs } from "../../domain/Instant.ts"
import { Message, MessageKind, Priority, ShownMessage } from "../../domain/Message.ts"
import { PolicyText } from "../../domain/Policy.ts"
import { Run, RunStatistics } from "../../domain/Run.ts"
import { Series, seriesSettings } from "../../domain/Series.ts"
import { Session, SessionMode, SessionStatus } from "../../domain/Session.ts"

/** Rows of one page, at most. */
export const MAX_PAGE = 1_000
export const DEFAULT_PAGE = 200

export const PageLimit = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: MAX_PAGE }))

/** A message to send. Without a session it goes to the one that group, mode and address resolve to. */
export const SendRequest = Schema.Struct({
  id: Schema.optionalKey(MessageId),
  groupId: Schema.optionalKey(GroupId),
  sessionId: Schema.optionalKey(SessionId),
  mode: Schema.optionalKey(SessionMode),
  ...partly(Address).fields,
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

/** Messages of one batch, at most: they share a transaction, in which the daemon does nothing else. */
export const MAX_SEND_BATCH = 100

/** `failed`: it was not accepted, and `error` is the kind of refusal that a single send would have met. */
export const BatchReply = Schema.Struct({
  ...SendReply.fields,
  outcome: Schema.Literals([...SendReply.fields.outcome.literals, "failed"]),
  error: Schema.NullOr(Schema.Literals(["NotFound", "Conflict", "Invalid", "Full"])),
})
export type BatchReply = typeof BatchReply.Type

/** A message with the rows that it led to: those that name it, and the nameless ones from its claim to the look after its end. */
export const MessageReport = Schema.Struct({
  message: ShownMessage,
  answers: Schema.Array(Delivery),
  /** The other messages that the same turns answered with them. */
  answeredWith: Schema.Array(MessageId),
  /** Why its session can't start a container at present. */
  wakeError: Schema.NullOr(Schema.String),
  /** Only an active session starts containers. */
  sessionStatus: SessionStatus,
  statusReason: Schema.NullOr(Schema.String),
})
export type MessageReport = typeof MessageReport.Type

/** What a request may say of a group. */
const settable = {
  ...Struct.omit(Group.fields, ["id", "createdAt", "revision"]),
  provider: ProviderConfig,
  policy: PolicyText,
  container: GroupContainer,
}

/** Without `container` its containers are as the daemon's settings say. */
export const NewGroup = Schema.Struct({
  ...settable,
  id: GroupId,
  container: Schema.optionalKey(GroupContainer),
})
export type NewGroup = typeof NewGroup.Type

/** Fields that are absent stay. With a revision, a group that somebody else has changed since is left alone. */
export const GroupChange = partly(Schema.Struct({ ...settable, revision: Schema.Int }))

/** A session with its last lives, newest first. */
export const SessionReport = Schema.Struct({ session: Session, incarnations: Schema.Array(Incarnation) })
export type SessionReport = typeof SessionReport.Type

export const SessionVerb = Schema.Literals(["stop", "hold", "wake", "release"])
export type SessionVerb = typeof SessionVerb.Type

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
  /** Sessions that have work but can't start a container, with the reason. */
  failing: Schema.Array(Session),
  nextWakeAt: Schema.NullOr(EpochMs),
  nextSlotAt: Schema.NullOr(EpochMs),
  /** What an operator should know of the host. */
  warnings: Schema.Array(Schema.String),
  /** The runtime starts nothing, so every session waits; null: it does. */
  runtimeDown: Schema.NullOr(
    Schema.Struct({ since: EpochMs, failures: Schema.Int, why: Schema.String, nextTryAt: EpochMs }),
  ),
  /** What groups' containers have beyond the daemon's settings, in words. */
  overrides: Schema.Array(Schema.Struct({ groupId: GroupId, says: Schema.Array(Schema.String) })),
})
export type Status = typeof Status.Type

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
  ...seriesSettings,
})

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
      zone: Schema.optionalKey(Schema.String),
      revision: Schema.optionalKey(Schema.Int),
      ttlMs: Schema.optionalKey(Schema.NullOr(Schema.Int)),
      priority: Schema.optionalKey(Priority),
      ...seriesSettings,
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
  /** Over its last runs, up to `MAX_PAGE`. */
  statistics: RunStatistics,
})
export type TaskReport = typeof TaskReport.Type
