/**
 * Ingestion: what a container wrote becomes part of the ledger, all of one reading in one transaction. Reading the same again
 * changes nothing: outbound rows are known by id, and an ack only counts while its attempt is open.
 */
import { type Attempt, type AttemptOutcome, decideRetry } from "../../domain/Attempt.ts"
import { MessageId } from "../../domain/Ids.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { type Incarnation, isStuck } from "../../domain/Incarnation.ts"
import { isTerminal, type Message, wakes } from "../../domain/Message.ts"
import type { LedgerTx } from "../LedgerDriver.ts"
import type { AckRow, Reading } from "../Mailbox.ts"
import { finishMessage } from "./Finish.ts"
import { notifyAgent } from "./Notices.ts"
import { ingestOutbound } from "./Outbound.ts"
import { openUnit, type SessionUnit, type TransitionContext } from "./SessionUnit.ts"
import { turnsOf } from "./Turns.ts"

export interface Ingested {
  readonly claimed: ReadonlyArray<MessageId>
  readonly ended: ReadonlyArray<MessageId>
  readonly deliveries: number
  /** Whether anything at all was new. */
  readonly news: "news" | "nothing"
}

const NOTHING: Ingested = { claimed: [], ended: [], deliveries: 0, news: "nothing" }

/** Ingests one reading of the live incarnation `number`. An ended or other incarnation changes nothing: that is the fence. */
export const ingest = (
  tx: LedgerTx,
  pair: Pick<Incarnation, "sessionId" | "number">,
  reading: Reading,
  context: TransitionContext,
): Ingested => {
  const incarnation = tx.incarnation(pair.sessionId, pair.number)
  if (incarnation === undefined || incarnation.phase === "ended") return NOTHING
  const unit = openUnit(tx, pair.sessionId, context)
  if (unit === undefined || unit.session().incarnation !== pair.number) return NOTHING
  const ingested = ingestReading(unit, incarnation, reading)
  unit.close()
  return ingested
}

/** The same inside a transaction that does more (the end of an incarnation). */
export const ingestReading = (unit: SessionUnit, incarnation: Incarnation, reading: Reading): Ingested => {
  const { tx } = unit
  const claimed: Array<MessageId> = []
  const ended: Array<MessageId> = []
  let deliveries = 0
  const turns = turnsOf(unit, incarnation, reading)
  for (const row of reading.outbound) deliveries += ingestOutbound(unit, row, turns(row))
  for (const ack of reading.acks) {
    const before = tx.message(MessageId.make(ack.messageId))
    if (before?.sessionId !== incarnation.sessionId) continue
    const step = ingestAck(unit, incarnation, before, ack)
    if (step.claimed) claimed.push(before.id)
    if (step.ended) ended.push(before.id)
  }
  const released = releaseVanished(unit, incarnation, reading)
  for (const rejected of reading.rejected) {
    unit.event("anomaly", null, `${rejected.table} row '${rejected.id}' refused: ${rejected.reason}`)
  }
  const unsent = reading.rejected.filter(({ table }) => table === "messages_out")
  if (unsent[0] !== undefined)
    notifyAgent(
      unit,
      "system",
      `${unsent.length} of your rows can't be read and were not sent; '${unsent[0].id}': ${unsent[0].reason}`,
    )
  const news = claimed.length + ended.length + deliveries + released > 0
  if (news) noteActivity(unit, incarnation, claimed.length + ended.length > 0 ? "claimed" : "wrote")
  return { claimed, ended, deliveries, news: news ? "news" : "nothing" }
}

/** A container that claims is a container that works: the crash-loop backoff starts afresh. */
const noteActivity = (unit: SessionUnit, incarnation: Incarnation, what: "claimed" | "wrote"): void => {
  const current = unit.tx.incarnation(incarnation.sessionId, incarnation.number) ?? incarnation
  unit.tx.putIncarnation({
    ...current,
    activeAt: Math.max(current.activeAt, unit.context.now),
    claimed: current.claimed || what === "claimed",
  })
  if (what === "claimed" && unit.session().wakeFailures > 0) {
    unit.change({ wakeFailures: 0, wakeNotBefore: 0, wakeError: null })
  }
}

interface AckStep {
  readonly claimed: boolean
  readonly ended: boolean
}

const UNCHANGED: AckStep = { claimed: false, ended: false }

const ingestAck = (unit: SessionUnit, incarnation: Incarnation, before: Message, ack: AckRow): AckStep => {
  if (isTerminal(before.state)) {
    recordLate(unit, incarnation, before, ack)
    return UNCHANGED
  }
  // A row that went back to the queue is shown again with more tries: until then its old ack is history.
  if (before.admittedIn !== incarnation.number) return UNCHANGED
  if (ack.tries !== null && ack.tries !== before.tries) return UNCHANGED
  const open = unit.tx.openAttempt(before.id)
  if (open === undefined && ack.tries === null && isHistory(unit, incarnation, before, ack)) return UNCHANGED
  const attempt = open ?? openAttempt(unit, incarnation, before, ack)
  const message = open === undefined ? claimedRow(unit, before, attempt) : before
  const claimed = open === undefined
  if (ack.status === "processing") return { claimed, ended: false }
  const outcome: AttemptOutcome =
    ack.status === "failed" ? "failed" : ack.outcome === "skipped" ? "skipped" : "completed"
  closeAttempt(unit, message, attempt, {
    outcome,
    retryable: ack.detail.retryable,
    error: ack.detail.error,
    result: ack.detail.result,
  })
  return { claimed, ended: true }
}

/** Runners that do not write `tries` leave an old ack standing: it counts again only when it is newer than the last attempt. */
const isHistory = (unit: SessionUnit, incarnation: Incarnation, message: Message, ack: AckRow): boolean => {
  const [last] = unit.tx.attempts(message.id, 1)
  if (last === undefined || last.incarnation !== incarnation.number || last.endedAt === null) return false
  return ack.changedAt === null || ack.changedAt <= last.endedAt
}

const newAttempt = (message: Message, incarnation: Incarnation, claimedAt: EpochMs): Attempt => ({
  messageId: message.id,
  number: message.attempts + 1,
  sessionId: message.sessionId,
  incarnation: incarnation.number,
  claimedAt,
  endedAt: null,
  outcome: null,
  costsTry: null,
  error: null,
})

const openAttempt = (unit: SessionUnit, incarnation: Incarnation, message: Message, ack: AckRow): Attempt => {
  const attempt = newAttempt(message, incarnation, claimInstant(ack, incarnation, unit.context.now))
  unit.tx.putAttempt(attempt)
  return attempt
}

/** The container's word for when it claimed, where it is possible: after the spawn and not in the future. */
const claimInstant = (ack: AckRow, incarnation: Incarnation, now: EpochMs): EpochMs =>
  ack.status === "processing" && ack.changedAt !== null && ack.changedAt <= now
    ? Math.max(ack.changedAt, incarnation.spawnedAt)
    : now

const claimedRow = (unit: SessionUnit, message: Message, attempt: Attempt): Message => {
  unit.event("claimed", message.id, `attempt ${attempt.number} by incarnation ${attempt.incarnation}`)
  return unit.moveMessage(message, "claim", {
    attempts: attempt.number,
    claimedAt: message.claimedAt ?? attempt.claimedAt,
    // A TTL ends at the first claim: what goes back to the queue has been taken up, and is owed its retries.
    // Context rides along to the next container too, until its time is over.
    expiresAt: wakes(message) ? null : message.expiresAt,
  })
}

export interface AttemptEnd {
  readonly outcome: AttemptOutcome
  readonly retryable: boolean
  readonly error: string | null
  readonly result: string | null
}

/** The group's policy, with what the message's task says of retries over it. */
const retryPolicyOf = (unit: SessionUnit, message: Message) => {
  const said = message.seriesId === null ? undefined : unit.tx.series(message.seriesId)?.policy
  if (said === undefined) return unit.policy
  return {
    ...unit.policy,
    retryLimit: said.retryLimit ?? unit.policy.retryLimit,
    retryBaseMs: said.retryBaseMs ?? unit.policy.retryBaseMs,
  }
}

/** Ends one open attempt and decides what becomes of its message. */
export const closeAttempt = (
  unit: SessionUnit,
  message: Message,
  attempt: Attempt,
  end: AttemptEnd,
): Message => {
  const { now, random } = unit.context
  const decision = decideRetry(
    message,
    attempt,
    { outcome: end.outcome, retryable: end.retryable, at: now },
    retryPolicyOf(unit, message),
    random,
  )
  if (decision._tag === "AlreadyClosed") return message
  const spent = decision._tag === "Retry" || decision._tag === "Fail"
  unit.tx.putAttempt({ ...attempt, endedAt: now, outcome: end.outcome, costsTry: spent, error: end.error })
  const died = end.outcome === "crashed" || end.outcome === "stuck"
  switch (decision._tag) {
    case "Complete":
    case "Skip": {
      const { error, result } = end
      const event = decision._tag === "Skip" ? "skip" : "complete"
      return finishMessage(unit, message, event, { error, result, suspect: false })
    }
    case "Release":
      return unit.moveMessage(message, "release", { dueAt: decision.dueAt })
    case "Retry":
      unit.event(
        "retry",
        message.id,
        `try ${decision.tries} ended ${end.outcome}, next in ${decision.backoffMs} ms${end.error === null ? "" : `: ${end.error}`}`,
      )
      return unit.moveMessage(message, "retry", {
        tries: decision.tries,
        dueAt: decision.dueAt,
        admittedIn: 0,
        suspect: died,
        error: end.error,
      })
    case "Fail":
      return finishMessage(unit, message, "fail", {
        tries: decision.tries,
        error: end.error ?? end.outcome,
        result: end.result,
      })
  }
}

/** A claim or ack on a message that had ended: recorded once as an attempt of its own, and nothing else. */
const recordLate = (unit: SessionUnit, incarnation: Incarnation, message: Message, ack: AckRow): void => {
  const [last] = unit.tx.attempts(message.id, 1)
  if (last !== undefined && last.incarnation === incarnation.number) return
  const { now } = unit.context
  const attempt = newAttempt(message, incarnation, now)
  unit.tx.putAttempt({
    ...attempt,
    endedAt: now,
    outcome: "late",
    costsTry: false,
    error: `${ack.status} after the message had ended ${message.state}`,
  })
  unit.updateMessage(message, { attempts: attempt.number })
  unit.event("late", message.id, `${ack.status} came after it had ended ${message.state}`)
}

/**
 * A claim whose row is gone was given back: no try is spent, and the message is due again. Not so in a container that is being
 * stopped as stuck: giving back on SIGTERM would make a hang free, and a message that hangs every agent would loop for ever. Its
 * claims stay open until the confirmed end counts them.
 */
const releaseVanished = (unit: SessionUnit, incarnation: Incarnation, reading: Reading): number => {
  if (reading.outgrown || isStuck(incarnation.stopReason)) return 0
  const present = new Set(reading.acks.map((ack) => ack.messageId))
  for (const rejected of reading.rejected) if (rejected.table === "processing_ack") present.add(rejected.id)
  let released = 0
  for (const attempt of unit.tx.openAttempts(incarnation.sessionId)) {
    if (attempt.incarnation !== incarnation.number || present.has(attempt.messageId)) continue
    const message = unit.tx.message(attempt.messageId)
    if (message === undefined) continue
    closeAttempt(unit, message, attempt, { outcome: "released", retryable: true, error: null, result: null })
    released += 1
  }
  return released
}
