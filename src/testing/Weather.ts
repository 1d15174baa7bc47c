/**
 * The faults that are in force just now, and how often each kind really struck. A planned fault only counts when something ran
 * into it: an outage that nobody noticed tests nothing.
 */
import type { Fault, FaultKind } from "./FaultPlan.ts"

export class Weather {
  readonly struck = new Map<FaultKind, number>()
  private readonly active = new Map<FaultKind, Array<{ readonly fault: Fault; readonly until: number }>>()
  private readonly onStrike: (fault: Fault) => void

  constructor(onStrike: (fault: Fault) => void) {
    this.onStrike = onStrike
  }

  begin(fault: Fault, now: number): void {
    const list = this.active.get(fault.kind) ?? []
    list.push({ fault, until: now + fault.ms })
    this.active.set(fault.kind, list)
  }

  /** The fault of this kind that is in force, for this session where sessions are struck one by one. */
  find(kind: FaultKind, now: number, session?: number): Fault | null {
    const list = this.active.get(kind)
    if (list === undefined) return null
    const left = list.filter(({ until }) => until > now)
    if (left.length < list.length) this.active.set(kind, left)
    for (const { fault } of left) if (session === undefined || fault.session === session) return fault
    return null
  }

  /** As `find`, and counted as having struck. */
  strike(kind: FaultKind, now: number, session?: number): Fault | null {
    const fault = this.find(kind, now, session)
    if (fault !== null) this.count(fault)
    return fault
  }

  /** As `strike`, and over with it. */
  strikeOnce(kind: FaultKind, now: number): Fault | null {
    const fault = this.strike(kind, now)
    const left = (this.active.get(kind) ?? []).filter((one) => one.fault !== fault)
    this.active.set(kind, left)
    return fault
  }

  count(fault: Fault): void {
    this.struck.set(fault.kind, (this.struck.get(fault.kind) ?? 0) + 1)
    this.onStrike(fault)
  }

  /** Whether anything is wrong just now. */
  isFair(now: number): boolean {
    for (const list of this.active.values()) if (list.some(({ until }) => until > now)) return false
    return true
  }

  clear(): void {
    this.active.clear()
  }
}

/** The faults that wait for the agents of each session, until a launch or a turn is struck by one; and the messages that are poison. */
export class Moods {
  private readonly waiting = new Map<string, Array<Fault>>()
  /** What is poison stays poison. */
  readonly poison = new Set<string>()
  private readonly onStrike: (fault: Fault) => void

  constructor(onStrike: (fault: Fault) => void) {
    this.onStrike = onStrike
  }

  add(session: string, fault: Fault): void {
    this.waiting.set(session, [...(this.waiting.get(session) ?? []), fault])
  }

  /** The next fault for this session at this moment; it is spent by asking. */
  take(session: string, moment: "launch" | "turn"): Fault | null {
    const waiting = this.waiting.get(session) ?? []
    const index = waiting.findIndex((fault) => momentOf(fault.kind) === moment)
    const [fault] = index < 0 ? [] : waiting.splice(index, 1)
    if (fault !== undefined) this.onStrike(fault)
    return fault ?? null
  }

  clear(): void {
    this.waiting.clear()
  }
}

const momentOf = (kind: FaultKind): "launch" | "turn" =>
  kind === "agent-crash-at-start" || kind === "agent-never-claims" || kind === "agent-late-exit"
    ? "launch"
    : "turn"
