/** The faults that wait for the agents of each session, until a launch or a turn is struck by one; and the messages that are poison. */
import type { Fault, FaultKind } from "./FaultPlan.ts"

export class Moods {
  private readonly waiting = new Map<string, Array<Fault>>()
  private readonly poison = new Set<string>()
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

  /** What is poison stays poison. */
  makePoison(messageId: string): void {
    this.poison.add(messageId)
  }

  isPoison(messageId: string): boolean {
    return this.poison.has(messageId)
  }

  clear(): void {
    this.waiting.clear()
  }
}

const momentOf = (kind: FaultKind): "launch" | "turn" =>
  kind === "agent-crash-at-start" || kind === "agent-never-claims" || kind === "agent-late-exit"
    ? "launch"
    : "turn"
