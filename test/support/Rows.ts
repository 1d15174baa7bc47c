/**
 * Ledger rows for tests: each builder gives a valid row with plain defaults, decoded by its Schema so that a typo in an override
 * fails at once, and changed field by field. Instants default to `T0`, ids to `g1`, `s1`, `m1`, `t1`.
 */
import { Schema } from "effect"
import { Attempt } from "../../src/domain/Attempt.ts"
import { Delivery, laneOf } from "../../src/domain/Delivery.ts"
import { Group, plainGroup } from "../../src/domain/Group.ts"
import { GroupId, MessageId, SeriesId, SessionId } from "../../src/domain/Ids.ts"
import { Incarnation } from "../../src/domain/Incarnation.ts"
import { LedgerEvent } from "../../src/domain/LedgerEvent.ts"
import { amended, Message, type MessageRow } from "../../src/domain/Message.ts"
import { Run } from "../../src/domain/Run.ts"
import { amendedSeries, Series, type SeriesRow } from "../../src/domain/Series.ts"
import { Session } from "../../src/domain/Session.ts"

/** A round instant: 2027-01-15T08:00:00Z. */
export const T0 = 1_800_000_000_000

export const gid = (id: string): GroupId => GroupId.make(id)
export const sid = (id: string): SessionId => SessionId.make(id)
export const mid = (id: string): MessageId => MessageId.make(id)
export const tid = (id: string): SeriesId => SeriesId.make(id)

const decodeGroup = Schema.decodeUnknownSync(Group)
const decodeSession = Schema.decodeUnknownSync(Session)
const decodeMessage = Schema.decodeUnknownSync(Message)
const decodeAttempt = Schema.decodeUnknownSync(Attempt)
const decodeIncarnation = Schema.decodeUnknownSync(Incarnation)
const decodeDelivery = Schema.decodeUnknownSync(Delivery)
const decodeSeries = Schema.decodeUnknownSync(Series)
const decodeRun = Schema.decodeUnknownSync(Run)
const decodeEvent = Schema.decodeUnknownSync(LedgerEvent)

export const aGroup = (fields: Partial<typeof Group.Encoded> = {}): Group =>
  decodeGroup({
    ...plainGroup(GroupId.make("g1")),
    name: "Group one",
    assistantName: "Ada",
    createdAt: T0,
    revision: 1,
    ...fields,
  })

/** Idle, active, nothing to wake for. Its key follows its id. */
export const aSession = (fields: Partial<typeof Session.Encoded> = {}): Session =>
  decodeSession({
    id: "s1",
    groupId: "g1",
    key: `key:${fields.id ?? "s1"}`,
    origin: "chat",
    channelType: "hook",
    platformId: "alice",
    threadId: null,
    status: "active",
    statusReason: null,
    incarnation: 0,
    live: false,
    hostSeq: 0,
    revision: 0,
    queued: 0,
    wakeAt: null,
    wakePriority: 1,
    wakeFailures: 0,
    wakeNotBefore: 0,
    wakeError: null,
    expiresAt: null,
    createdAt: T0,
    ...fields,
  })

/** A pending chat message of session `s1`, due at `T0`. */
export const aMessage = (fields: Partial<typeof Message.Encoded> = {}): MessageRow =>
  amended(
    decodeMessage({
      id: "m1",
      sessionId: "s1",
      seq: 2,
      kind: "chat",
      state: "pending",
      trigger: true,
      onWake: false,
      priority: 1,
      dueAt: T0,
      firstDueAt: fields.dueAt ?? T0,
      expiresAt: null,
      content: '{"text":"hello"}',
      channelType: "hook",
      platformId: "alice",
      threadId: null,
      sourceSessionId: null,
      hops: 0,
      seriesId: null,
      slot: null,
      slotOrigin: null,
      tries: 0,
      attempts: 0,
      admittedIn: 0,
      revision: 1,
      suspect: false,
      acceptedAt: T0,
      wokenAt: null,
      claimedAt: null,
      endedAt: null,
      error: null,
      result: null,
      redriveOf: null,
      ...fields,
    }),
    {},
  )

/** Open: attempt 1 of `m1` by incarnation 1. */
export const anAttempt = (fields: Partial<typeof Attempt.Encoded> = {}): Attempt =>
  decodeAttempt({
    messageId: "m1",
    number: 1,
    sessionId: "s1",
    incarnation: 1,
    claimedAt: T0,
    endedAt: null,
    outcome: null,
    costsTry: null,
    error: null,
    ...fields,
  })

/** Incarnation 1 of `s1`, running. */
export const anIncarnation = (fields: Partial<typeof Incarnation.Encoded> = {}): Incarnation =>
  decodeIncarnation({
    sessionId: "s1",
    number: 1,
    groupId: "g1",
    phase: "running",
    handle: null,
    bootId: "boot-1",
    spawnedAt: T0,
    startedAt: T0,
    claimed: false,
    activeAt: T0,
    rowSkewMs: null,
    fileSkewMs: null,
    hostId: null,
    stopReason: null,
    stopRequestedAt: null,
    endedAt: null,
    reason: null,
    exitCode: null,
    signal: null,
    oomKilled: false,
    durationMs: null,
    logFile: null,
    error: null,
    ...fields,
  })

/** Pending, due at `T0`, position 0 (not yet given). Its id and lane follow its session and outbound id. */
export const aDelivery = (fields: Partial<typeof Delivery.Encoded> = {}): Delivery => {
  const sessionId = fields.sessionId ?? "s1"
  const outboundId = fields.outboundId === undefined ? "out-1" : fields.outboundId
  const row = decodeDelivery({
    id: `${sessionId}/${outboundId ?? "host.1"}`,
    sessionId,
    outboundId,
    incarnation: 1,
    position: 0,
    seq: 1,
    inReplyTo: null,
    answers: [],
    hops: 0,
    kind: "chat",
    channelType: "hook",
    platformId: "alice",
    threadId: null,
    content: '{"text":"hello"}',
    lane: "",
    status: "pending",
    attempts: 0,
    firstAttemptAt: null,
    nextAttemptAt: T0,
    deliverAfter: null,
    lastError: null,
    refusal: null,
    detail: null,
    platformMessageId: null,
    revision: 0,
    createdAt: T0,
    endedAt: null,
    ...fields,
  })
  return fields.lane === undefined ? { ...row, lane: laneOf(row) } : row
}

/** Active, daily at seven, next slot at `T0`. */
export const aSeries = (fields: Partial<typeof Series.Encoded> = {}): SeriesRow =>
  amendedSeries(
    decodeSeries({
      id: "t1",
      taskId: null,
      groupId: "g1",
      sessionId: "s1",
      seq: 2,
      name: null,
      prompt: "say good morning",
      script: null,
      schedule: { _tag: "Cron", expression: "0 7 * * *", zone: "Europe/Paris" },
      zone: "Europe/Paris",
      overlap: "skip",
      catchUp: "latest",
      bounds: { startAt: null, endAt: null, maxRuns: null, exclusions: [], jitterMs: 0 },
      policy: {
        catchUpWindowMs: null,
        catchUpCap: 100,
        staggerMs: 0,
        bufferLimit: 100,
        pauseAfterFailures: null,
        startToCloseMs: null,
        context: "group",
        isolatedRetentionMs: 86_400_000,
        retryLimit: null,
        retryBaseMs: null,
      },
      fired: 0,
      failuresInRow: 0,
      priority: 1,
      ttlMs: null,
      status: "active",
      note: null,
      revision: 1,
      grid: 0,
      nextSlot: T0,
      lastSlot: null,
      channelType: null,
      platformId: null,
      threadId: null,
      createdAt: T0,
      ...fields,
    }),
    {},
  )

/** A completed run of message `m1`, position 0 (append). */
export const aRun = (fields: Partial<typeof Run.Encoded> = {}): Run =>
  decodeRun({
    position: 0,
    sessionId: "s1",
    groupId: "g1",
    seriesId: null,
    messageId: "m1",
    slot: null,
    dueAt: T0,
    wokenAt: T0,
    claimedAt: T0,
    endedAt: T0,
    durationMs: 0,
    attempts: 1,
    outcome: "completed",
    error: null,
    result: null,
    incarnation: 1,
    logFile: null,
    count: 1,
    ...fields,
  })

/** Without a position, as the driver takes it. */
export const anEvent = (fields: Partial<typeof LedgerEvent.Encoded> = {}): Omit<LedgerEvent, "position"> => {
  const { position: _position, ...row } = decodeEvent({
    position: 0,
    at: T0,
    type: "accepted",
    sessionId: "s1",
    messageId: "m1",
    text: "accepted",
    ...fields,
  })
  return row
}
