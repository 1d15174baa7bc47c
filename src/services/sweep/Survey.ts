/** Who could wake now, and when the ledger's next thing comes due: one answer of its indexes, whatever number of sessions sleeps. */
import { Effect } from "effect"
import type { GroupId } from "../../domain/Ids.ts"
import { earliest, type EpochMs } from "../../domain/Instant.ts"
import { resolvePolicy } from "../../domain/Policy.ts"
import type { Session } from "../../domain/Session.ts"
import type { LedgerReader } from "../LedgerDriver.ts"
import { SessionStore } from "../SessionStore.ts"
import { Fleet } from "./Fleet.ts"
import { Starts } from "./Starts.ts"

/** Candidates of one priority that one pass considers. */
const MAX_CANDIDATES = 200
/** How far one pass looks past those of groups that are at their caps. */
const MAX_SCANNED = 51_200

export const survey = Effect.fnUntraced(function* (now: EpochMs) {
  const fleet = yield* Fleet
  const starts = yield* Starts
  const store = yield* SessionStore
  const { maxContainers } = store.options.limits
  const taken = roomTaken(fleet, starts)
  return yield* store.read((reader) => {
    const capOf = capsOf(reader, store)
    const mayWake = (session: Session): boolean =>
      !starts.underWay.has(session.id) &&
      (taken.liveByGroup.get(session.groupId) ?? 0) < capOf(session.groupId)
    const waiting = ([2, 1, 0] as const).flatMap((priority) =>
      longEnough(maxContainers - taken.liveTotal, mayWake, (limit) =>
        reader.sessionsToWake("idle", priority, now, limit),
      ),
    )
    return {
      maxContainers,
      knownNextAt: earliest(reader.nextWakeAfter(now), plusOne(reader.nextExpiry()), reader.nextSlot()),
      candidates: waiting.map((session) => ({
        sessionId: session.id,
        groupId: session.groupId,
        priority: session.wakePriority,
        wakeAt: session.wakeAt ?? now,
        maxContainersPerGroup: capOf(session.groupId),
      })),
    }
  })
})

/** Containers that live or are being started. One that died and waits for its last reading takes no room from others. */
export const roomTaken = (fleet: Fleet["Service"], starts: Starts["Service"]) => {
  const liveByGroup = new Map<GroupId, number>()
  let liveTotal = 0
  const count = (groupId: GroupId): void => {
    liveTotal += 1
    liveByGroup.set(groupId, (liveByGroup.get(groupId) ?? 0) + 1)
  }
  for (const { life } of fleet.all()) if (life._tag !== "Dead") count(life.groupId)
  // A start that is decided on and not recorded yet takes its room all the same.
  // So does one beside its session's last life, which counts no more.
  for (const [id, groupId] of starts.underWay) {
    if ((fleet.of(id)?.life._tag ?? "Dead") === "Dead") count(groupId)
  }
  return { liveByGroup, liveTotal }
}

/** A group's cap, read once a survey. */
const capsOf = (reader: LedgerReader, store: SessionStore["Service"]): ((groupId: GroupId) => number) => {
  const caps = new Map<GroupId, number>()
  return (groupId) => {
    const known = caps.get(groupId)
    if (known !== undefined) return known
    const policy = resolvePolicy(store.options.policy, reader.group(groupId)?.policy ?? {})
    caps.set(groupId, policy.maxContainersPerGroup)
    return policy.maxContainersPerGroup
  }
}

/**
 * The head of a queue, long enough that it fills the room where anything can: a group at its cap may have more sessions waiting than
 * one batch, and holds up nobody behind them.
 */
const longEnough = (
  room: number,
  mayWake: (session: Session) => boolean,
  head: (limit: number) => ReadonlyArray<Session>,
): ReadonlyArray<Session> => {
  for (let limit = MAX_CANDIDATES; ; limit *= 4) {
    const rows = head(limit)
    const all = rows.length < limit || limit >= MAX_SCANNED
    if (all || rows.filter(mayWake).length >= room) return rows
  }
}

const plusOne = (instant: EpochMs | null): EpochMs | null => (instant === null ? null : instant + 1)
