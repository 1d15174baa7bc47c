/**
 * The invariants that can be told from the ledger's rows (security.md §6: 1 to 5, 10), checked at every commit. It keeps a copy of
 * every row as it was last committed and knows, on its own and in its own words, which changes are legal.
 */
import type { Attempt } from "../domain/Attempt.ts"
import type { Delivery } from "../domain/Delivery.ts"
import { type GroupId, SessionId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import { MAX_EPOCH_MS } from "../domain/Instant.ts"
import { isTerminal, type Message, wakes } from "../domain/Message.ts"
import { type Policy, resolvePolicy } from "../domain/Policy.ts"
import type { Series } from "../domain/Series.ts"
import type { Session } from "../domain/Session.ts"
import type { LedgerTx } from "../services/LedgerDriver.ts"
import { GroundTruth } from "./GroundTruth.ts"
import { SeriesWatch, type SeriesWatchOptions } from "./SeriesWatch.ts"

/** From a decision to its commit. */
const MOMENT_MS = 2_000
/** The pass that is under way, and a send before it that takes its time. */
const SEND_SLACK_MS = 35_000
/** What has expired is ended at the beginning of every pass. */
const TTL_SLACK_MS = 60_000

export interface LedgerWatchOptions extends SeriesWatchOptions {
  readonly policy: Policy
  readonly maxContainers: number
}

/** A check of one write, made when its transaction commits. */
type Staged = (tx: LedgerTx) => void

const isStuck = (life: Incarnation | undefined): boolean =>
  ["ceiling", "claim", "startup"].includes(life?.stopReason ?? "")

export class LedgerWatch {
  readonly messages = new Map<string, Message>()
  readonly deliveries = new Map<string, Delivery>()
  readonly incarnations = new Map<string, Incarnation>()
  readonly tasks: SeriesWatch
  /** Pending deliveries by lane. */
  readonly lanes = new Map<string, Map<string, number>>()
  private readonly openAttempts = new Map<string, Attempt>()
  private readonly attemptCounts = new Map<string, { last: number; spent: number }>()
  /** Messages that have not ended, by session. */
  private readonly open = new Map<string, Map<string, Message>>()
  private readonly options: LedgerWatchOptions
  private staged: Array<Staged> = []
  /** Messages that were written, with their sessions. */
  private written = new Map<string, string>()
  commits = 0

  constructor(options: LedgerWatchOptions) {
    this.options = options
    this.tasks = new SeriesWatch(options)
  }

  get series(): ReadonlyMap<string, Series> {
    return this.tasks.series
  }

  /** The same transaction, with every write noted. `write` is called before each and may throw. */
  wrap(tx: LedgerTx, write: () => void): LedgerTx {
    const noted =
      <Row, A>(put: (row: Row) => A, check: (tx: LedgerTx, row: Row, answer: A) => void) =>
      (row: Row): A => {
        write()
        const answer = put(row)
        this.staged.push((then) => check(then, row, answer))
        return answer
      }
    return {
      ...tx,
      putMessage: noted(tx.putMessage, (then, row) => {
        this.onMessage(then, row)
        this.written.set(row.id, row.sessionId)
      }),
      putAttempt: noted(tx.putAttempt, (then, row) => this.onAttempt(then, row)),
      putIncarnation: noted(tx.putIncarnation, (then, row) => this.onIncarnation(then, row)),
      putDelivery: noted(tx.putDelivery, (_, row, position) => this.onDelivery({ ...row, position })),
      putSeries: noted(tx.putSeries, (_, row) => this.tasks.onSeries(row)),
      putSession: (row) => {
        write()
        tx.putSession(row)
        if (row.status === "quarantined" && !this.options.truth.unreadable.has(row.id))
          this.options.violate(
            7,
            `session ${row.id} is set aside (${row.statusReason}), and its files are well`,
          )
      },
      putRun: noted(tx.putRun, (_, row, position) => this.tasks.onRun(position, row)),
      appendEvent: (row) => {
        tx.appendEvent(row)
        if (row.type === "clock") this.staged.push(() => this.tasks.onClock(row.text))
      },
      deleteHistory: (before, limit) => {
        const gone = tx.deleteHistory(before, limit)
        if (gone > 0) this.forgetHistory(tx, before)
        return gone
      },
      deleteExpiredSessions: (before, limit) => {
        const gone = tx.deleteExpiredSessions(before, limit)
        for (const session of gone) this.onRemoved(session, before)
        return gone
      },
    }
  }

  rollBack(): void {
    this.staged = []
  }

  /** Checks what was written, row by row in order, and then what must hold at the end of every transaction. */
  commit(tx: LedgerTx): void {
    const { staged } = this
    if (staged.length === 0) return
    this.staged = []
    this.commits += 1
    this.written = new Map()
    for (const check of staged) check(tx)
    for (const id of this.written.keys()) this.atRest(id)
    for (const id of new Set(this.written.values())) {
      this.hasWakeUp(tx, id)
      this.suspectsAreAlone(tx, id)
    }
    this.tasks.commit()
  }

  private openOf(session: string): ReadonlyArray<Message> {
    return [...(this.open.get(session)?.values() ?? [])]
  }

  private policyOf(tx: LedgerTx, groupId: GroupId): Policy {
    const group = tx.group(groupId)
    return group === undefined ? this.options.policy : resolvePolicy(this.options.policy, group.policy)
  }

  /** A task may have its own limit and backoff. */
  private retriesOf(tx: LedgerTx, groupId: GroupId, row: Message): Policy {
    const policy = this.policyOf(tx, groupId)
    const own = row.seriesId === null ? undefined : this.series.get(row.seriesId)?.policy
    return {
      ...policy,
      retryLimit: own?.retryLimit ?? policy.retryLimit,
      retryBaseMs: own?.retryBaseMs ?? policy.retryBaseMs,
    }
  }

  private onMessage(tx: LedgerTx, row: Message): void {
    const before = this.messages.get(row.id)
    this.messages.set(row.id, row)
    this.tasks.onMessage(before, row)
    const open = this.open.get(row.sessionId) ?? new Map<string, Message>()
    this.open.set(row.sessionId, open)
    if (isTerminal(row.state)) open.delete(row.id)
    else open.set(row.id, row)
    const { violate, wall } = this.options
    if (before === undefined) {
      if (row.state !== "pending" || row.tries !== 0)
        violate(1, `message ${row.id} was born ${row.state} with ${row.tries} tries`)
      return
    }
    if (isTerminal(before.state) && (row.state !== before.state || row.tries !== before.tries))
      violate(1, `message ${row.id} was ${before.state} for good and became ${row.state}`)
    if (row.tries < before.tries || row.tries > before.tries + 1)
      violate(4, `the tries of ${row.id} went from ${before.tries} to ${row.tries}`)
    const session = tx.session(row.sessionId)
    if (session === undefined) return violate(1, `message ${row.id} has no session`)
    const policy = this.retriesOf(tx, session.groupId, row)
    if (row.tries > policy.retryLimit + 1)
      violate(4, `message ${row.id} has ${row.tries} tries, over the limit of ${policy.retryLimit + 1}`)
    if (row.tries > before.tries && row.state === "pending") {
      const least = policy.retryBaseMs * 2 ** before.tries
      if (row.dueAt < wall() + Math.min(least, policy.retryCapMs ?? Infinity))
        violate(4, `message ${row.id} is due ${row.dueAt - wall()} ms after its try, before ${least} ms`)
      const most = least * (1 + policy.retryJitter)
      if (row.dueAt > wall() + most + MOMENT_MS)
        violate(4, `message ${row.id} waits ${row.dueAt - wall()} ms after its try, longer than ${most} ms`)
      if (this.options.truth.container(row.sessionId, before.admittedIn)?.refused.has(row.id) === true)
        violate(4, `message ${row.id} is tried again, and its agent said that it never will work`)
    }
    const stays = before.state === "pending" && row.state === "pending" && row.tries === before.tries
    if (stays && row.dueAt > before.dueAt)
      violate(4, `message ${row.id} was pushed ${row.dueAt - before.dueAt} ms further`)
    if (row.state === "expired" && before.state === "pending") {
      if ((row.expiresAt ?? Infinity) >= wall()) violate(1, `message ${row.id} expired before its time`)
      if (wakes(row) && row.attempts > 0) violate(1, `message ${row.id} expired after it had been claimed`)
    }
    if (row.admittedIn > 0 && row.admittedIn !== before.admittedIn) {
      if (wakes(row) && row.dueAt > wall())
        violate(4, `message ${row.id} was shown ${row.dueAt - wall()} ms before it was due`)
      if (wakes(row) && row.expiresAt !== null && row.expiresAt < wall() - TTL_SLACK_MS)
        violate(1, `message ${row.id} was shown ${wall() - row.expiresAt} ms after its time to live`)
      if (session.incarnation !== row.admittedIn)
        violate(3, `message ${row.id} was shown to incarnation ${row.admittedIn}, which is not the last`)
    }
  }

  private onAttempt(tx: LedgerTx, row: Attempt): void {
    const { violate, truth } = this.options
    const counts = this.attemptCounts.get(row.messageId) ?? { last: 0, spent: 0 }
    this.attemptCounts.set(row.messageId, counts)
    const open = this.openAttempts.get(row.messageId)
    const isNew = row.number > counts.last
    if (isNew) {
      if (row.number !== counts.last + 1)
        violate(4, `attempt ${row.number} of ${row.messageId} came after ${counts.last}`)
      counts.last = row.number
      const message = this.messages.get(row.messageId)
      if (message !== undefined && message.sessionId !== row.sessionId)
        violate(10, `an attempt of ${row.sessionId} is on a message of ${message.sessionId}`)
      const container = truth.container(row.sessionId, row.incarnation)
      if (container !== undefined && !container.acked.has(row.messageId))
        violate(10, `${row.messageId} counts as acked by ${container.session}, which never did that`)
      if (row.outcome !== "late") {
        if (open !== undefined) violate(4, `message ${row.messageId} has two open attempts`)
        const session = tx.session(row.sessionId)
        if (session?.incarnation !== row.incarnation)
          violate(3, `incarnation ${row.incarnation} claimed ${row.messageId} and is not the last one`)
      }
    } else if (open === undefined || open.number !== row.number) {
      violate(4, `attempt ${row.number} of ${row.messageId} changed after its end`)
    }
    if (row.endedAt === null) {
      this.openAttempts.set(row.messageId, row)
      return
    }
    this.openAttempts.delete(row.messageId)
    if (row.costsTry !== true) return this.justifyGift(row)
    counts.spent += 1
    this.justifyTry(row)
  }

  /** What the container did itself is not free. */
  private justifyGift(row: Attempt): void {
    const { violate, truth } = this.options
    const message = this.messages.get(row.messageId)
    if (message === undefined || !wakes(message)) return
    const container = truth.container(row.sessionId, row.incarnation)
    const life = this.incarnations.get(GroundTruth.key(row.sessionId, row.incarnation))
    if (row.outcome === "failed" || row.outcome === "crashed" || row.outcome === "stuck")
      violate(4, `an attempt of ${row.messageId} ended ${row.outcome} and cost nothing`)
    if (row.outcome === "released" && isStuck(life))
      violate(4, `${row.messageId} was given back by a container that was stopped as stuck, for nothing`)
    const died = container?.death === "itself" || container?.death === "outside"
    if (row.outcome !== "host-stopped" || !died || life?.stopReason !== null) return
    if (truth.last("reboot") < (container?.diedAt ?? 0))
      violate(4, `${row.messageId} was open when ${row.sessionId} died, and paid nothing`)
  }

  /** A try is spent only for what the container did, by the word of the container itself. */
  private justifyTry(row: Attempt): void {
    const { violate, truth } = this.options
    const container = truth.container(row.sessionId, row.incarnation)
    const life = this.incarnations.get(GroundTruth.key(row.sessionId, row.incarnation))
    if (row.outcome === "failed") return
    if (row.outcome !== "crashed" && row.outcome !== "stuck")
      return violate(4, `an attempt of ${row.messageId} ended ${row.outcome} and cost a try`)
    if (container === undefined) return
    // One that was being stopped as stuck was stuck, whatever ended it in the end.
    if (isStuck(life)) return
    if (container.death === "reboot")
      violate(4, `the host's reboot cost ${row.messageId} a try (${row.outcome})`)
    if (container.death === "daemon")
      violate(4, `the daemon stopped ${row.sessionId} (${life?.stopReason}) and ${row.messageId} paid a try`)
  }

  private onIncarnation(tx: LedgerTx, row: Incarnation): void {
    const { violate, truth, wall } = this.options
    const session = tx.session(row.sessionId)
    const key = GroundTruth.key(row.sessionId, row.number)
    const before = this.incarnations.get(key)
    this.incarnations.set(key, row)
    if (before === undefined) {
      const last = this.incarnations.get(GroundTruth.key(row.sessionId, row.number - 1))
      if (last !== undefined && last.phase !== "ended")
        violate(3, `incarnation ${key} was recorded before the one before it had ended`)
      if (session !== undefined && session.status !== "active")
        violate(3, `session ${row.sessionId} is ${session.status}, and was woken`)
      const live = this.liveContainers()
      if (live >= this.options.maxContainers && this.options.now() - truth.last("wake") > MOMENT_MS)
        violate(3, `${key} starts beside ${live} containers, of ${this.options.maxContainers} allowed`)
      return
    }
    const order = ["starting", "running", "stopping", "ended"]
    if (order.indexOf(row.phase) < order.indexOf(before.phase))
      violate(3, `incarnation ${key} went from ${before.phase} back to ${row.phase}`)
    if (row.phase !== "ended" || before.phase === "ended") return
    const container = truth.container(row.sessionId, row.number)
    if (container !== undefined && container.diedAt === null && row.startedAt !== null)
      violate(3, `incarnation ${key} was ended as ${row.reason} while its container lives`)
    const waits = this.openOf(row.sessionId).some((message) => wakes(message) && message.dueAt <= wall())
    if (row.reason === "crash" && !row.claimed && waits && (session?.wakeNotBefore ?? Infinity) <= wall())
      violate(4, `${key} died before it claimed anything, and its session does not back off`)
  }

  /** One that came up long after its start was given up is not counted: nobody knows of it yet. */
  private liveContainers(): number {
    return [...this.incarnations].filter(
      ([key, row]) => row.phase !== "ended" && this.options.truth.containers.get(key)?.diedAt === null,
    ).length
  }

  private onDelivery(row: Delivery): void {
    const { violate, truth } = this.options
    const before = this.deliveries.get(row.id)
    this.deliveries.set(row.id, row)
    this.inLane(before, row)
    if (row.attempts > this.options.policy.deliveryLimit)
      violate(2, `delivery ${row.id} was tried ${row.attempts} times, over its limit`)
    if (before === undefined) return
    if (row.content !== before.content) violate(2, `the content of delivery ${row.id} changed`)
    if (before.status === row.status) return this.onRetry(before, row)
    if (before.status !== "pending") return violate(2, `delivery ${row.id} was ${before.status} for good`)
    if (row.status === "delivered" && row.channelType !== "agent" && !truth.sends.has(row.id))
      violate(2, `delivery ${row.id} counts as delivered and was never sent`)
    if ((row.status === "dead" || row.status === "refused") && row.lastError === null)
      violate(2, `delivery ${row.id} is ${row.status} without a reason`)
  }

  /** A wait that the channel asked for is kept, and spends no attempt; the days of a delivery end all the same. */
  private onRetry(before: Delivery, row: Delivery): void {
    const { policy, truth, violate, wall } = this.options
    if (row.status !== "pending" || row.firstAttemptAt === null || row.nextAttemptAt === null) return
    if (before.nextAttemptAt === row.nextAttemptAt) return
    const asked = truth.askedWaits.get(row.id) ?? null
    const spent = row.attempts - before.attempts
    if (spent !== (asked === null ? 1 : 0))
      violate(
        2,
        `delivery ${row.id} spent ${spent} attempts, and the channel asked for a wait of ${asked} ms`,
      )
    const end = (before.firstAttemptAt ?? wall()) + policy.deliveryMaxAgeMs
    if (row.nextAttemptAt > end) violate(2, `delivery ${row.id} waits beyond its days`)
    if (row.nextAttemptAt < Math.min(wall() + (asked ?? 0), end))
      violate(2, `delivery ${row.id} is tried again before the channel wants it`)
  }

  /** In fair weather what may be sent is sent at once. `since`: all has been well from then on. */
  tick(since: number): void {
    const { now, violate, wall } = this.options
    for (const row of this.deliveries.values()) {
      if (row.status !== "pending" || row.nextAttemptAt === null || row.attempts > 0) continue
      const dueFor = Math.min(wall() - row.nextAttemptAt, now() - since)
      if (dueFor > SEND_SLACK_MS) violate(12, `${row.id} may be sent for ${dueFor} ms, and nobody does`)
    }
  }

  private inLane(before: Delivery | undefined, row: Delivery): void {
    if (before !== undefined && before.lane !== row.lane) this.lanes.get(before.lane)?.delete(row.id)
    const lane = this.lanes.get(row.lane) ?? new Map<string, number>()
    this.lanes.set(row.lane, lane)
    // One that asked to be delivered later finds its place in the lane when its time comes.
    if (row.status === "pending" && row.deliverAfter === null) lane.set(row.id, row.position)
    else lane.delete(row.id)
    if (lane.size === 0) this.lanes.delete(row.lane)
  }

  /** A message whose container died with it has the next one for itself. */
  private suspectsAreAlone(tx: LedgerTx, id: string): void {
    const current = tx.session(SessionId.make(id))?.incarnation
    const shown = this.openOf(id).filter((row) => wakes(row) && row.admittedIn === current)
    const suspect = shown.find((row) => row.suspect)
    if (suspect !== undefined && shown.length > 1)
      this.options.violate(4, `the suspect ${suspect.id} is shown beside ${shown.length - 1} others`)
  }

  /** What this container was shown and may begin with. */
  shownTo(session: string, incarnation: number): ReadonlyArray<string> {
    return this.openOf(session)
      .filter((row) => row.state === "pending" && row.admittedIn === incarnation && wakes(row))
      .filter((row) => row.dueAt <= this.options.wall())
      .map(({ id }) => id)
  }

  /** A session goes only when nothing of it is left to do. */
  private onRemoved(session: Session, before: number): void {
    const { truth, violate } = this.options
    this.tasks.see("session-removed")
    if (session.expiresAt === null || session.expiresAt >= before)
      violate(1, `session ${session.id} was removed before its time`)
    if ((this.open.get(session.id)?.size ?? 0) > 0)
      violate(1, `session ${session.id} was removed with messages that have not ended`)
    if (truth.living(session.id) !== undefined)
      violate(11, `session ${session.id} was removed while its container lives`)
    for (const row of this.deliveries.values()) {
      if (row.sessionId === session.id && row.status === "pending")
        violate(2, `session ${session.id} was removed, and ${row.id} is not sent`)
    }
  }

  /** What holds of a message between transactions. */
  private atRest(id: string): void {
    const { violate } = this.options
    const row = this.messages.get(id)
    if (row === undefined) return
    const open = this.openAttempts.get(id)
    const spent = this.attemptCounts.get(id)?.spent ?? 0
    if (row.tries !== spent)
      violate(4, `message ${id} has ${row.tries} tries and ${spent} attempts that cost one`)
    if ((row.state === "claimed") !== (open !== undefined))
      violate(1, `message ${id} is ${row.state} and has ${open === undefined ? "no" : "an"} open attempt`)
    if (isTerminal(row.state) && row.endedAt === null) violate(1, `message ${id} ended without a time`)
  }

  /** Whatever is pending and may wake has an instant at which the daemon will look at it. */
  private hasWakeUp(tx: LedgerTx, id: string): void {
    const session = tx.session(SessionId.make(id))
    if (session === undefined || session.status !== "active" || session.live) return
    // What waits for another run has no instant of its own.
    const waiting = this.openOf(id).filter(
      (row) => row.state === "pending" && wakes(row) && row.dueAt < MAX_EPOCH_MS,
    )
    const due = Math.min(...waiting.map(({ dueAt }) => dueAt))
    if (due === Infinity) return
    if (session.wakeAt === null || session.wakeAt > Math.max(due, session.wakeNotBefore))
      this.options.violate(11, `session ${id} has work due at ${due} and its wake-up is ${session.wakeAt}`)
  }

  private forgetHistory(tx: LedgerTx, floor: number): void {
    for (const [id, row] of this.messages) {
      if (!isTerminal(row.state) || tx.message(row.id) !== undefined) continue
      if ((row.endedAt ?? Infinity) >= floor)
        this.options.violate(1, `message ${id} was deleted before its retention was over`)
      this.messages.delete(id)
      this.attemptCounts.delete(id)
      this.tasks.forget(id)
    }
    for (const [id, row] of this.deliveries) {
      if (row.status === "pending" || tx.delivery(row.id) !== undefined) continue
      this.deliveries.delete(id)
      // Whoever uses the id again now, uses it for the first time as far as anybody knows.
      this.options.truth.sends.delete(id)
    }
    for (const [key, row] of this.incarnations) {
      if (row.phase === "ended" && (row.endedAt ?? Infinity) < floor) this.incarnations.delete(key)
    }
  }
}
