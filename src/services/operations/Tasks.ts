/** What a request about a recurring task says, and what is told of one, as schemas. */
import { Schema } from "effect"
import { GroupId, SeriesId, SessionId } from "../../domain/Ids.ts"
import { EpochMs } from "../../domain/Instant.ts"
import { Priority } from "../../domain/Message.ts"
import { Run, RunStatistics } from "../../domain/Run.ts"
import { Series, seriesSettings } from "../../domain/Series.ts"

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
