/**
 * One description per table of the ledger: which fields a row has and how each is kept. Everything that turns rows into columns
 * and back is derived from it. Reads alias columns to field names, so that only booleans and JSON are touched afterwards.
 */
import type { Statement } from "better-sqlite3"
import type { Attempt } from "../../domain/Attempt.ts"
import type { Delivery } from "../../domain/Delivery.ts"
import type { Group } from "../../domain/Group.ts"
import type { Incarnation } from "../../domain/Incarnation.ts"
import type { LedgerEvent } from "../../domain/LedgerEvent.ts"
import type { Message } from "../../domain/Message.ts"
import type { Run } from "../../domain/Run.ts"
import type { Series } from "../../domain/Series.ts"
import type { Session } from "../../domain/Session.ts"

/** Gives the prepared statement of a text, the same one each time. */
export type Prepare = (sql: string) => Statement<Array<unknown>>

/** `boolean` is 0 or 1; `json` is text; `plain` is what it is. Null stays null in all of them. */
type Keeping = "plain" | "boolean" | "json"

export interface Table<Row> {
  readonly name: string
  readonly key: ReadonlyArray<keyof Row & string>
  readonly fields: ReadonlyArray<keyof Row & string>
  /** `column AS "field", …` */
  readonly select: string
  /** Changes the object that the database gave, and returns it as a row. */
  readonly decode: (stored: unknown) => Row
  /** The row's values, all or those of some fields, in their order and ready to bind. */
  readonly encode: (row: Row, some?: ReadonlyArray<keyof Row & string>) => Array<unknown>
}

/** `onWake` is kept as `on_wake`; quoted, because some are SQL words. */
export const columnOf = (field: string): string =>
  `"${field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}"`

const table = <Row>(
  name: string,
  key: ReadonlyArray<keyof Row & string>,
  keeping: { readonly [Field in keyof Row]-?: Keeping },
): Table<Row> => {
  const fields = Object.keys(keeping) as Array<keyof Row & string>
  const booleans = fields.filter((field) => keeping[field] === "boolean")
  const documents = fields.filter((field) => keeping[field] === "json")
  return {
    name,
    key,
    fields,
    select: fields.map((field) => `${columnOf(field)} AS "${field}"`).join(", "),
    decode: (stored) => {
      const row = stored as Record<string, unknown>
      for (const field of booleans) if (row[field] !== null) row[field] = row[field] === 1
      for (const field of documents) row[field] = JSON.parse(row[field] as string)
      return row as Row
    },
    encode: (row, some = fields) => {
      const values: Array<unknown> = []
      for (const field of some) {
        const value = row[field]
        const kept = keeping[field]
        if (kept === "plain" || value === null) values.push(value)
        else values.push(kept === "json" ? JSON.stringify(value) : Number(value))
      }
      return values
    },
  }
}

export const groups = table<Group>("groups", ["id"], {
  id: "plain",
  name: "plain",
  assistantName: "plain",
  provider: "json",
  zone: "plain",
  policy: "json",
  destinations: "json",
  admins: "json",
  imageTag: "plain",
  runnerReoffers: "boolean",
  container: "json",
  createdAt: "plain",
  revision: "plain",
})

export const sessions = table<Session>("sessions", ["id"], {
  id: "plain",
  groupId: "plain",
  key: "plain",
  origin: "plain",
  channelType: "plain",
  platformId: "plain",
  threadId: "plain",
  status: "plain",
  statusReason: "plain",
  incarnation: "plain",
  live: "boolean",
  hostSeq: "plain",
  revision: "plain",
  queued: "plain",
  wakeAt: "plain",
  wakePriority: "plain",
  wakeFailures: "plain",
  wakeNotBefore: "plain",
  wakeError: "plain",
  expiresAt: "plain",
  createdAt: "plain",
})

export const messages = table<Message>("messages", ["id"], {
  id: "plain",
  sessionId: "plain",
  seq: "plain",
  kind: "plain",
  state: "plain",
  trigger: "boolean",
  onWake: "boolean",
  priority: "plain",
  dueAt: "plain",
  firstDueAt: "plain",
  expiresAt: "plain",
  content: "plain",
  channelType: "plain",
  platformId: "plain",
  threadId: "plain",
  sourceSessionId: "plain",
  hops: "plain",
  seriesId: "plain",
  slot: "plain",
  slotOrigin: "plain",
  tries: "plain",
  attempts: "plain",
  admittedIn: "plain",
  revision: "plain",
  suspect: "boolean",
  acceptedAt: "plain",
  wokenAt: "plain",
  claimedAt: "plain",
  endedAt: "plain",
  error: "plain",
  result: "plain",
  redriveOf: "plain",
})

export const attempts = table<Attempt>("attempts", ["messageId", "number"], {
  messageId: "plain",
  number: "plain",
  sessionId: "plain",
  incarnation: "plain",
  claimedAt: "plain",
  endedAt: "plain",
  outcome: "plain",
  costsTry: "boolean",
  error: "plain",
})

export const incarnations = table<Incarnation>("incarnations", ["sessionId", "number"], {
  sessionId: "plain",
  number: "plain",
  groupId: "plain",
  phase: "plain",
  handle: "plain",
  bootId: "plain",
  spawnedAt: "plain",
  startedAt: "plain",
  claimed: "boolean",
  activeAt: "plain",
  rowSkewMs: "plain",
  fileSkewMs: "plain",
  hostId: "plain",
  stopReason: "plain",
  stopRequestedAt: "plain",
  endedAt: "plain",
  reason: "plain",
  exitCode: "plain",
  signal: "plain",
  oomKilled: "boolean",
  durationMs: "plain",
  logFile: "plain",
  error: "plain",
})

export const deliveries = table<Delivery>("deliveries", ["id"], {
  id: "plain",
  sessionId: "plain",
  outboundId: "plain",
  incarnation: "plain",
  position: "plain",
  seq: "plain",
  inReplyTo: "plain",
  answers: "json",
  hops: "plain",
  kind: "plain",
  channelType: "plain",
  platformId: "plain",
  threadId: "plain",
  content: "plain",
  lane: "plain",
  status: "plain",
  attempts: "plain",
  firstAttemptAt: "plain",
  nextAttemptAt: "plain",
  deliverAfter: "plain",
  lastError: "plain",
  refusal: "plain",
  detail: "plain",
  platformMessageId: "plain",
  revision: "plain",
  createdAt: "plain",
  endedAt: "plain",
})

export const series = table<Series>("series", ["id"], {
  id: "plain",
  taskId: "plain",
  groupId: "plain",
  sessionId: "plain",
  seq: "plain",
  name: "plain",
  prompt: "plain",
  script: "plain",
  schedule: "json",
  zone: "plain",
  overlap: "plain",
  catchUp: "plain",
  bounds: "json",
  policy: "json",
  fired: "plain",
  failuresInRow: "plain",
  priority: "plain",
  ttlMs: "plain",
  status: "plain",
  note: "plain",
  revision: "plain",
  grid: "plain",
  nextSlot: "plain",
  lastSlot: "plain",
  channelType: "plain",
  platformId: "plain",
  threadId: "plain",
  createdAt: "plain",
})

export const runs = table<Run>("runs", ["position"], {
  position: "plain",
  sessionId: "plain",
  groupId: "plain",
  seriesId: "plain",
  messageId: "plain",
  slot: "plain",
  dueAt: "plain",
  wokenAt: "plain",
  claimedAt: "plain",
  endedAt: "plain",
  durationMs: "plain",
  attempts: "plain",
  outcome: "plain",
  error: "plain",
  result: "plain",
  incarnation: "plain",
  logFile: "plain",
  count: "plain",
})

export const events = table<LedgerEvent>("events", ["position"], {
  position: "plain",
  at: "plain",
  type: "plain",
  sessionId: "plain",
  messageId: "plain",
  text: "plain",
})
