/**
 * What really happened in a simulated world, written down by the agents, the engine and the channels themselves. The invariants
 * compare what the daemon believes and does with this; nothing of the daemon ever reads it.
 */

/** What a watch says when something happened that must not. */
export interface Violation {
  /** Of security.md §6; 0: the daemon or the simulation itself broke. */
  readonly invariant: number
  readonly message: string
  /** Elapsed milliseconds. */
  readonly at: number
}

export type Violate = (invariant: number, message: string) => void

const newborn = (session: string, incarnation: number, bornAt: number) => ({
  session,
  incarnation,
  bornAt,
  /** The last heartbeat, by elapsed time; null before the first. */
  beatAt: null as number | null,
  /** The one before, at another instant: who looked just now may not have seen the last. */
  beatBefore: null as number | null,
  /** Open claims, by message: when each was made. */
  claims: new Map<string, number>(),
  /** Every message that it ever wrote an ack for. */
  acked: new Set<string>(),
  /** Messages that it failed for good. */
  refused: new Set<string>(),
  /** Until when it has said that it may be silent. */
  excusedUntil: 0,
  /** The first signal that the host sent, and when. */
  signalledAt: null as number | null,
  diedAt: null as number | null,
  /** Who ended it: itself, somebody outside, the daemon's signal, or the end of the host's boot. */
  death: null as "itself" | "outside" | "daemon" | "reboot" | null,
})
export type ContainerTruth = ReturnType<typeof newborn>

export interface SendTruth {
  taken: number
  /** Whether the daemon was told that the last one was taken. */
  answered: boolean
  readonly content: string
  /** Crashes and failed writes when it was last sent: a later one explains a repeat. */
  excusesThen: number
}

/**
 * `trouble`: something was wrong that may delay the daemon. `wake`: an operator woke a session, which asks nobody whether there is
 * room. `jump`: somebody set the clock, and ages start again from there. `reboot`: the host rebooted.
 */
export type Moment = "trouble" | "wake" | "jump" | "reboot"

export class GroundTruth {
  readonly containers = new Map<string, ContainerTruth>()
  readonly sends = new Map<string, SendTruth>()
  /** The wait that the channel asked for when it last refused a delivery for now; null when it named none. */
  readonly askedWaits = new Map<string, number | null>()
  /** Sessions whose files could not be read at some time. */
  readonly unreadable = new Set<string>()
  private readonly marks = new Map<Moment, number>()
  private readonly now: () => number
  /** What may have interrupted the daemon between a send and its mark so far: crashes, stops, failed writes. */
  excuses = 0
  /** While the host goes down. */
  rebooting = false
  /** By how much the wall clock was ever set back. */
  setBackMs = 0

  /** `now`: elapsed milliseconds. */
  constructor(now: () => number) {
    this.now = now
    this.mark("trouble")
  }

  mark(moment: Moment): void {
    this.marks.set(moment, this.now())
  }

  /** When this happened last. */
  last(moment: Moment): number {
    return this.marks.get(moment) ?? -Infinity
  }

  interrupt(): void {
    this.excuses += 1
    this.mark("trouble")
  }

  static readonly key = (session: string, incarnation: number): string => `${session}/${incarnation}`

  container(session: string, incarnation: number): ContainerTruth | undefined {
    return this.containers.get(GroundTruth.key(session, incarnation))
  }

  born(session: string, incarnation: number): ContainerTruth {
    const truth = newborn(session, incarnation, this.now())
    this.containers.set(GroundTruth.key(session, incarnation), truth)
    return truth
  }

  /** The container that the session has now. */
  living(session: string): ContainerTruth | undefined {
    for (const truth of this.containers.values()) {
      if (truth.session === session && truth.diedAt === null) return truth
    }
    return undefined
  }

  /** Forgets containers that died before `before`, so that a long campaign stays small. */
  forget(before: number): void {
    for (const [key, truth] of this.containers) {
      if (truth.diedAt !== null && truth.diedAt < before) this.containers.delete(key)
    }
  }
}
