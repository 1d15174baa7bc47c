/**
 * The lives of this host's containers, and what saves work on them: how far their files were read, which revision they were shown, and
 * when each has to be looked at again. Nothing here is truth: it is rebuilt from the ledger and the exchange pairs when the daemon starts.
 */
import { Context, Layer } from "effect"
import type { SessionId } from "../../domain/Ids.ts"
import type { Incarnation, ObservedExit } from "../../domain/Incarnation.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import * as Life from "../../domain/Life.ts"
import type { Policy } from "../../domain/Policy.ts"
import type { LiveView } from "../../domain/SweepPlan.ts"
import type { ContainerRef } from "../ContainerRuntime.ts"
import type { Pair, Reading } from "../Mailbox.ts"

/** What was read and waits for its turn: `slices` come first, `last` ends the reading. `raw` is as the container dated it. */
export interface Backlog {
  readonly slices: ReadonlyArray<Reading>
  readonly last: Reading
  readonly raw: Reading
  /** The stamp of the glance that the reading followed, and when that was. */
  readonly stamp: string
  readonly at: Life.Moment
}

/** How the ledger stood when it was last asked about this life. */
export interface Standing {
  readonly wakeAt: EpochMs | null
  /** Whether a message that it was shown waits to be claimed. Only supposed unless `asked`: of most lives nothing depends on it. */
  readonly shown: boolean
  readonly asked: boolean
  readonly activeAt: EpochMs
  readonly policy: Policy
  /** When the first of its runs is past what its task allows. */
  readonly overdueAt: EpochMs | null
}

/** The files of one life, as far as they were read. */
export interface Files {
  /** The stamp of the last glance whose content was taken; null: nothing was. */
  readonly stamp: string | null
  /** Outbound ids that the ledger has. */
  readonly seen: Set<string>
  /** Refused rows that were reported. */
  readonly reported: Set<string>
  readonly backlog: Backlog | null
  /** The revision that inbound.db stands at; null: unknown. */
  readonly projected: number | null
}

export interface Member {
  readonly life: Life.Life
  readonly pair: Pair
  /** The boot of the host at which it was started. */
  readonly bootId: string
  /** Absent until the runtime confirmed the start. */
  readonly ref: ContainerRef | null
  readonly files: Files
  /** Something due can only be run by a fresh incarnation. */
  readonly needsFresh: boolean
  /** Null: the ledger has to be asked. */
  readonly standing: Standing | null
  /** What the planner saw last. */
  readonly view: LiveView | null
  /** When it has to be looked at without any event; null: only an event can change the answer. */
  readonly nextAt: EpochMs | null
  /** When it is looked at whatever the feed says: the safety net. */
  readonly auditAt: EpochMs
}

export type LiveMember = Member & { readonly life: Life.Live }
export type DeadMember = Member & { readonly life: Life.Dead }

export const isLive = (member: Member): member is LiveMember =>
  member.life._tag === "Running" || member.life._tag === "Stopping"

export const isDead = (member: Member): member is DeadMember => member.life._tag === "Dead"

/** Dead, and its last files can't be read: nothing more happens to it before an operator releases its session. */
export const isGivenUp = (member: Member): boolean =>
  member.life._tag === "Dead" && member.life.finalReading === "given-up"

export class Fleet extends Context.Service<Fleet, ReturnType<typeof make>>()(
  "lamplighter/services/sweep/Fleet",
) {
  static readonly layer = Layer.sync(Fleet, () => make())
}

const memberOf = (incarnation: Incarnation, life: Life.Life, ref: ContainerRef | null): Member => ({
  life,
  pair: {
    groupId: incarnation.groupId,
    sessionId: incarnation.sessionId,
    incarnation: incarnation.number,
  },
  bootId: incarnation.bootId,
  ref,
  files: { stamp: null, seen: new Set(), reported: new Set(), backlog: null, projected: null },
  needsFresh: false,
  standing: null,
  view: null,
  nextAt: null,
  auditAt: 0,
})

const exited = (known: Member, exit: ObservedExit, ref: ContainerRef | null): Member => ({
  ...known,
  ref: known.ref ?? ref,
  life: Life.exited(known.life, exit),
  // What the planner saw of it while it lived would have it looked at again at once, for ever.
  view: null,
  nextAt: null,
  files: isDead(known) ? known.files : { ...known.files, backlog: null },
})

const make = () => {
  const members = new Map<SessionId, Member>()
  /** Ages that span the last jump of the clock start there, in whatever container. */
  let jumpedAt: EpochMs = 0
  let glancedAt: EpochMs | null = null
  const join = <M extends Member>(member: M): M => {
    members.set(member.pair.sessionId, member)
    return member
  }
  const ofPair = (pair: Pair): Member | undefined => {
    const known = members.get(pair.sessionId)
    return known?.pair.incarnation === pair.incarnation ? known : undefined
  }
  /**
   * Changes the member if that very life is still the session's, and still in a state that the change is for. Looks, signals and events
   * go on beside each other, so each of them changes what stands now and replaces nothing that it saw earlier.
   */
  const change = (pair: Pair, changed: (member: Member) => Member): Member | undefined => {
    const known = ofPair(pair)
    return known === undefined ? undefined : join(changed(known))
  }
  return {
    all: () => members.values(),
    of: (id: SessionId) => members.get(id),
    /** A life that this daemon begins. */
    begin: (incarnation: Incarnation, now: EpochMs) =>
      join(memberOf(incarnation, Life.starting(incarnation, now, jumpedAt), null)),
    /**
     * The member of a life that the ledger has: the one that is known, or a new one for what an earlier daemon left. A row that was read
     * before the session's next life began displaces nobody.
     */
    adopt: (incarnation: Incarnation, ref: ContainerRef | null, now: EpochMs) => {
      const known = members.get(incarnation.sessionId)
      return known !== undefined && known.pair.incarnation >= incarnation.number
        ? known
        : join(memberOf(incarnation, Life.adopted(incarnation, now, jumpedAt), ref))
    },
    change,
    changeLive: (pair: Pair, changed: (member: LiveMember) => LiveMember) => {
      const known = ofPair(pair)
      return known !== undefined && isLive(known) ? join(changed(known)) : undefined
    },
    /** The runtime saw it end: what was read before is not the last word. */
    exit: (pair: Pair, exit: ObservedExit, ref: ContainerRef | null = null) =>
      change(pair, (known) => exited(known, exit, ref)),
    leave: (pair: Pair): void => {
      if (ofPair(pair) !== undefined) members.delete(pair.sessionId)
    },
    /** When the files of all lives were last glanced at; null: not since the daemon started or the clock was set. */
    glancedAt: () => glancedAt,
    /** They are glanced at now. Returns when that was last done. */
    glance: (now: EpochMs) => {
      const before = glancedAt
      glancedAt = now
      return before
    },
    /** The clock was set: `jumped` when ages start again. */
    setClock: (now: EpochMs, how: "jumped" | "back"): void => {
      if (how === "jumped") jumpedAt = now
      glancedAt = null
      for (const member of members.values()) {
        const life = how === "jumped" ? Life.clockJumped(member.life, now) : Life.settled(member.life, now)
        join({ ...member, life, standing: null })
      }
    },
  }
}
