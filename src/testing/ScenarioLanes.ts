/**
 * The lanes of a scenario: what each session was doing all the while. The ledger is asked at short intervals; silence before a
 * container was killed as stuck is told apart afterwards, when one knows that it was.
 */
import type { SessionId } from "../domain/Ids.ts"
import { isStuck } from "../domain/Incarnation.ts"
import { isTerminal, type TerminalState } from "../domain/Message.ts"
import type { Session } from "../domain/Session.ts"
import type { LedgerReader } from "../services/LedgerDriver.ts"
import type { Pair } from "../services/Mailbox.ts"

/**
 * `asleep`: nothing to do. `waiting`: something is due and nothing runs. `running`: a container works. `ready`: one runs and has
 * nothing to do. `stuck`: it works and is silent, and will be killed for it. `backoff`: the next try has its time. `dead`: set
 * aside (held or quarantined).
 */
export type LaneState = "asleep" | "waiting" | "running" | "ready" | "stuck" | "backoff" | "dead"

export interface Span {
  readonly from: number
  readonly to: number
  readonly state: LaneState
}

export interface Mark {
  readonly at: number
  readonly messageId: string
  readonly state: TerminalState
}

export interface Lane {
  readonly session: string
  readonly spans: ReadonlyArray<Span>
  /** Where a message ended. */
  readonly marks: ReadonlyArray<Mark>
}

interface Sample {
  readonly at: number
  state: LaneState
  readonly incarnation: number | null
  /** The last sign of life of the container. */
  readonly signAt: number
}

const MANY = 100_000

export class Lanes {
  private readonly samples: Map<SessionId, Array<Sample>>
  private readonly heartbeat: (pair: Pair) => number | null

  constructor(sessions: ReadonlyArray<SessionId>, heartbeat: (pair: Pair) => number | null) {
    this.samples = new Map(sessions.map((id) => [id, []]))
    this.heartbeat = heartbeat
  }

  sample(reader: LedgerReader, now: number): void {
    for (const [id, samples] of this.samples) samples.push(this.look(reader, reader.session(id), now))
  }

  private look(reader: LedgerReader, session: Session | undefined, now: number): Sample {
    if (session?.live !== true)
      return { at: now, state: this.idleState(reader, session, now), incarnation: null, signAt: 0 }
    const { groupId, id: sessionId, incarnation } = session
    const open = reader.openAttempts(sessionId)
    const beat = this.heartbeat({ groupId, sessionId, incarnation })
    const spawned = reader.incarnation(sessionId, incarnation)?.spawnedAt ?? now
    return {
      at: now,
      state: open.length > 0 ? "running" : "ready",
      incarnation,
      signAt: Math.max(spawned, beat ?? 0, ...open.map(({ claimedAt }) => claimedAt)),
    }
  }

  private idleState(reader: LedgerReader, session: Session | undefined, now: number): LaneState {
    if (session === undefined) return "asleep"
    if (session.status !== "active") return "dead"
    const pending = reader
      .messages({ sessionId: session.id, states: ["pending"] }, { limit: 1_000 })
      .filter((message) => message.trigger && message.kind !== "system")
    if (pending.length === 0) return "asleep"
    if (pending.some(({ dueAt }) => dueAt <= now)) return session.wakeNotBefore > now ? "backoff" : "waiting"
    return pending.some(({ tries }) => tries > 0) ? "backoff" : "asleep"
  }

  finish(reader: LedgerReader, end: number): ReadonlyArray<Lane> {
    return [...this.samples].map(([id, samples]) => {
      for (const { number, stopReason } of reader.incarnations(id, { limit: MANY })) {
        if (!isStuck(stopReason)) continue
        const own = samples.filter(({ incarnation }) => incarnation === number)
        const signAt = own.at(-1)?.signAt ?? 0
        for (const one of own) if (one.at > signAt) one.state = "stuck"
      }
      const marks = reader
        .messages({ sessionId: id }, { limit: MANY })
        .flatMap((message): ReadonlyArray<Mark> =>
          isTerminal(message.state) && message.endedAt !== null
            ? [{ at: message.endedAt, messageId: message.id, state: message.state }]
            : [],
        )
      return { session: id, spans: spansOf(samples, end), marks: marks.toReversed() }
    })
  }
}

const spansOf = (samples: ReadonlyArray<Sample>, end: number): ReadonlyArray<Span> => {
  const spans: Array<Span> = []
  for (const [index, { at, state }] of samples.entries()) {
    const to = samples[index + 1]?.at ?? end
    const last = spans.at(-1)
    if (last?.state === state) spans[spans.length - 1] = { ...last, to }
    else spans.push({ from: at, to, state })
  }
  return spans
}
