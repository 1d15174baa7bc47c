/**
 * One life of a session's container as the host knows it: a state that has just the fields it needs, and pure transitions between states.
 * Everything that is dated here is in the host's time. What the container dates itself (file times, claims, tools) is translated by the
 * difference of the two clocks, which is measured whenever something fresh is seen, and is never later than the host saw it.
 *
 * ```
 * Starting ──started──► Running ──stopped──► Stopping
 *     └────────────────────┴──────exited───────┴──► Dead
 * ```
 */
import type { Incarnation, ObservedExit } from "./Incarnation.ts"
import { observeHeartbeat } from "./Heartbeat.ts"
import type { GroupId, IncarnationNumber, MessageId, SessionId } from "./Ids.ts"
import type { EpochMs, Millis } from "./Instant.ts"
import { CUT_MS, type Liveness } from "./StuckAction.ts"

/** The container's clock minus the host's, known to lie between two bounds. */
export interface Skew {
  readonly lowMs: number
  readonly highMs: number
}

/** A claim as the container wrote it, by its own clock, and when the host first saw it. */
export interface SeenClaim extends Omit<Liveness["claims"][number], "claimedAt"> {
  readonly changedAt: EpochMs | null
  /** It was not there when the host looked before: whatever the container's clock says, it is no older. */
  readonly notBefore: EpochMs
}

/** When the host looked, and when it looked last time: what is fresh happened in between. `before` null: it never looked. */
export interface Moment {
  readonly now: EpochMs
  readonly before: EpochMs | null
}

interface Lived extends Pick<Liveness, "ageOrigin" | "spawnedAt"> {
  readonly sessionId: SessionId
  readonly groupId: GroupId
  readonly incarnation: IncarnationNumber
}

/** What the container let the host see; its tool dated by its own clock. */
interface Signs extends Pick<Liveness, "anyAck" | "heartbeatAt" | "tool" | "workDueSince"> {
  /** As it stands on the file, by the container's clock; null: there is none; undefined: nobody has looked yet. */
  readonly heartbeatMtime: EpochMs | null | undefined
  readonly claims: ReadonlyArray<SeenClaim>
  /** First sights of the claims of this life, those that are gone included: one that comes back is no younger. */
  readonly firstSeen: ReadonlyMap<string, EpochMs>
  /** The newest instant that it wrote, by its clock; null: none; undefined: nobody has read it yet. */
  readonly newestAt: EpochMs | null | undefined
  /** The last activity: as the ledger has it, and as it counts, which is not in the future of a clock that was set back since. */
  readonly recordedAt: EpochMs
  readonly activeAt: EpochMs
  /** Since when its files can't be read; null: they can. */
  readonly blindSince: EpochMs | null
  readonly rowSkew: Skew | null
  readonly fileSkew: Skew | null
}

/** Recorded; whether a container exists is not known yet. */
export interface Starting extends Lived {
  readonly _tag: "Starting"
}

export interface Running extends Lived, Signs {
  readonly _tag: "Running"
}

/**
 * The ledger says that it is to stop. `signalledAt`: when SIGTERM was heard by the engine; the grace counts from there. `askedAt`: when the
 * engine was first told, heard or not. `kill`: the SIGKILLs that were sent: the first, the last, and how many.
 */
export interface Stopping extends Lived, Signs {
  readonly _tag: "Stopping"
  readonly askedAt: EpochMs | null
  readonly signalledAt: EpochMs | null
  readonly kill: { readonly since: EpochMs; readonly at: EpochMs; readonly count: number } | null
}

/** Its death is confirmed, its files are to be read for the last time. */
export interface Dead extends Lived {
  readonly _tag: "Dead"
  readonly exit: ObservedExit
  /** `given-up`: the files can't be read, and nothing more happens before an operator releases the session. */
  readonly finalReading: "owed" | "given-up"
  readonly failedSince: EpochMs | null
  /** What it wrote last is dated by its own clock. */
  readonly rowSkew: Skew | null
}

export type Life = Starting | Running | Stopping | Dead
/** One whose container runs, for all that is known. */
export type Live = Running | Stopping

/** Smaller differences are none: a poll, a file's time stamp and a time that was cut to the second are no more exact than that. */
const MIN_SKEW_MS: Millis = 2_000
/** First sights that are remembered beyond the claims that stand. */
const MAX_REMEMBERED = 1_000

export const starting = (
  incarnation: Pick<Incarnation, "sessionId" | "groupId" | "number" | "spawnedAt">,
  now: EpochMs,
  ageOrigin: EpochMs,
): Starting => ({
  _tag: "Starting",
  sessionId: incarnation.sessionId,
  groupId: incarnation.groupId,
  incarnation: incarnation.number,
  spawnedAt: Math.min(incarnation.spawnedAt, now),
  ageOrigin,
})

/** This daemon started it: its files were empty, and everything in them will be fresh. */
export const started = (life: Starting): Running => ({
  ...life,
  ...NO_SIGNS,
  _tag: "Running",
  heartbeatMtime: null,
  newestAt: null,
  recordedAt: life.spawnedAt,
  activeAt: life.spawnedAt,
})

/**
 * An earlier daemon started it. What it was seen doing last stands for the work that it had, so that a restart excuses no silence, and the
 * clock's difference is the one that was measured then.
 */
export const adopted = (incarnation: Incarnation, now: EpochMs, ageOrigin: EpochMs): Live => {
  const activeAt = Math.min(incarnation.activeAt, now)
  const running: Running = {
    ...starting(incarnation, now, ageOrigin),
    ...NO_SIGNS,
    _tag: "Running",
    recordedAt: incarnation.activeAt,
    activeAt,
    workDueSince: activeAt,
    rowSkew: exactly(incarnation.rowSkewMs),
    fileSkew: exactly(incarnation.fileSkewMs),
  }
  return incarnation.phase === "stopping" ? stopped(running) : running
}

const exactly = (skewMs: number | null): Skew | null =>
  skewMs === null ? null : { lowMs: skewMs, highMs: skewMs }

const NO_SIGNS: Omit<Signs, "activeAt" | "recordedAt"> = {
  heartbeatMtime: undefined,
  heartbeatAt: null,
  claims: [],
  firstSeen: new Map(),
  newestAt: undefined,
  anyAck: false,
  tool: null,
  workDueSince: null,
  blindSince: null,
  rowSkew: null,
  fileSkew: null,
}

/** After one look at the heartbeat file. The same life where nothing changed. */
export const observe = <L extends Live>(life: L, mtime: EpochMs | null, moment: Moment): L => {
  const seeing = life.blindSince === null ? life : { ...life, blindSince: null }
  if (mtime === null || mtime === life.heartbeatMtime) {
    return life.heartbeatMtime === undefined && mtime === null ? { ...seeing, heartbeatMtime: null } : seeing
  }
  const before = life.heartbeatMtime === undefined ? life.spawnedAt : moment.before
  const fileSkew =
    before === null || life.blindSince !== null
      ? life.fileSkew
      : narrowed(life.fileSkew, { lowMs: mtime - moment.now, highMs: mtime - before })
  const view = { mtime: null, heartbeatAt: life.heartbeatAt }
  const { heartbeatAt } = observeHeartbeat(view, mtime - skewMs(fileSkew), moment.now)
  return withAnswers({ ...seeing, heartbeatMtime: mtime, heartbeatAt, fileSkew }, moment.now)
}

/** After a look that showed nothing: it is not judged by what it may have done meanwhile. */
export const blinded = <L extends Live>(life: L, now: EpochMs): L =>
  life.blindSince === null ? { ...life, blindSince: now } : life

/** What one reading says of claims and tools, by the container's clock. */
interface Acks {
  readonly acks: ReadonlyArray<
    Pick<SeenClaim, "changedAt" | "precision"> & {
      readonly messageId: string
      readonly status: "processing" | "completed" | "failed"
    }
  >
  readonly tool: Liveness["tool"]
  readonly newestAt: EpochMs | null
}

/** After one reading of what it wrote. */
export const ingested = <L extends Live>(life: L, reading: Acks, moment: Moment): L => {
  const firstSeen = firstSights(life, reading, moment.now)
  const known = new Map(life.claims.map((claim) => [keyOf(claim), claim]))
  const floor = floorOf(life, moment)
  const claims = reading.acks
    .filter((ack) => ack.status === "processing")
    .map((ack): SeenClaim => {
      const key = keyOf(ack)
      return {
        messageId: ack.messageId as MessageId,
        changedAt: ack.changedAt,
        precision: ack.precision,
        firstSeenAt: firstSeen.get(key) ?? moment.now,
        notBefore: known.get(key)?.notBefore ?? (life.firstSeen.has(key) ? life.spawnedAt : floor),
        answered: known.get(key)?.answered ?? false,
      }
    })
  return withAnswers(
    {
      ...life,
      blindSince: null,
      claims,
      firstSeen,
      newestAt: reading.newestAt === null ? null : Math.max(life.newestAt ?? 0, reading.newestAt),
      anyAck: life.anyAck || reading.acks.length > 0,
      tool: reading.tool,
      rowSkew: measured(life, reading, moment).rowSkew,
    },
    moment.now,
  )
}

/** A container could claim under ever new times and have the host remember them all: what is gone is forgotten at a limit. */
const firstSights = (life: Live, reading: Acks, now: EpochMs): ReadonlyMap<string, EpochMs> => {
  const fresh = reading.acks.filter((ack) => ack.status === "processing" && !life.firstSeen.has(keyOf(ack)))
  if (fresh.length === 0) return life.firstSeen
  const standing = new Set(life.claims.map(keyOf))
  const kept =
    life.firstSeen.size <= standing.size + MAX_REMEMBERED
      ? life.firstSeen
      : [...life.firstSeen].filter(([key]) => standing.has(key))
  return new Map([...kept, ...fresh.map((ack) => [keyOf(ack), now] as const)])
}

const keyOf = (claim: { readonly messageId: string; readonly changedAt: EpochMs | null }): string =>
  `${claim.messageId}@${claim.changedAt}`

/**
 * The difference of the clocks after this reading, from which `inHostTime` translates it: what is newer than all that was read before was
 * written between the two looks. Each life has files of its own, so what is in them was written since the spawn, whoever reads it first.
 */
export const measured = <L extends Live>(life: L, { newestAt }: Acks, moment: Moment): L => {
  const before = life.newestAt === undefined ? life.spawnedAt : moment.before
  const { now } = moment
  if (newestAt === null || before === null || newestAt <= (life.newestAt ?? -Infinity)) return life
  const sample = { lowMs: newestAt - now, highMs: newestAt + CUT_MS - before }
  return { ...life, rowSkew: narrowed(life.rowSkew, sample) }
}

/** Both bounds hold; where they can't, a clock was set, and the newer measurement counts. */
const narrowed = (known: Skew | null, sample: Skew): Skew => {
  if (known === null || !overlap(known, sample)) return sample
  return { lowMs: Math.max(known.lowMs, sample.lowMs), highMs: Math.min(known.highMs, sample.highMs) }
}

const overlap = (left: Skew | null, right: Skew | null): boolean =>
  left === null || right === null || (left.lowMs <= right.highMs && right.lowMs <= left.highMs)

/**
 * 0 where no difference is needed to explain what was seen. Otherwise the one by which what the container dates is as late as it can have
 * been, which is never later than the host saw it: nobody is taken for silent before it was, nor its work for work of an earlier life.
 */
export const skewMs = (skew: Skew | null): number => {
  if (skew === null) return 0
  const least = skew.lowMs > 0 ? skew.lowMs : Math.min(0, skew.highMs)
  return Math.abs(least) < MIN_SKEW_MS ? 0 : skew.lowMs
}

/** Nothing that is new at this moment is older. */
const floorOf = (life: Live, { before }: Moment): EpochMs =>
  life.newestAt === undefined ? life.spawnedAt : Math.max(life.spawnedAt, before ?? 0)

/**
 * The reading with every time that the container wrote in the host's time. Without a difference it is the same object. A claim that was not
 * there at the look before is no older than that look, however wrong the difference is.
 */
export const inHostTime = <R extends Acks>(life: Live | Dead, reading: R, moment?: Moment): R => {
  const skew = skewMs(life.rowSkew)
  if (skew === 0) return reading
  const isNew = (ack: Acks["acks"][number]): boolean =>
    ack.status === "processing" && life._tag !== "Dead" && !life.firstSeen.has(keyOf(ack))
  const floor = life._tag === "Dead" || moment === undefined ? life.spawnedAt : floorOf(life, moment)
  return {
    ...reading,
    acks: reading.acks.map((ack) => {
      const changedAt = translated(ack.changedAt, skew)
      return { ...ack, changedAt: changedAt !== null && isNew(ack) ? Math.max(changedAt, floor) : changedAt }
    }),
    tool: toolInHostTime(reading.tool, skew),
  }
}

const translated = (at: EpochMs | null, skew: number): EpochMs | null => (at === null ? null : at - skew)

const toolInHostTime = (tool: Liveness["tool"], skew: number): Liveness["tool"] =>
  tool === null || skew === 0 ? tool : { ...tool, startedAt: translated(tool.startedAt, skew) }

/** A claim that a heartbeat has once come after stays answered. */
const withAnswers = <L extends Live>(life: L, now: EpochMs): L => {
  if (!life.claims.some((claim) => !claim.answered && isAnswered(life, claim, now))) return life
  const claims = life.claims.map((claim) => ({
    ...claim,
    answered: claim.answered || isAnswered(life, claim, now),
  }))
  return { ...life, claims }
}

const isAnswered = (life: Live, claim: SeenClaim, now: EpochMs): boolean => {
  if (life.heartbeatAt === null) return false
  const { changedAt, firstSeenAt } = claim
  const skew = skewMs(life.rowSkew)
  // One clock stamped both, and it is not the host's: their own order tells, exactly.
  const oneClock = overlap(life.rowSkew, life.fileSkew)
  if (changedAt !== null && oneClock && (skew !== 0 || changedAt > now)) {
    return (life.heartbeatMtime ?? 0) > changedAt
  }
  const doubtMs = oneClock ? 0 : width(life.rowSkew) + width(life.fileSkew)
  return life.heartbeatAt > Math.min((translated(changedAt, skew) ?? firstSeenAt) - doubtMs, firstSeenAt)
}

const width = (skew: Skew | null): Millis => (skew === null ? 0 : skew.highMs - skew.lowMs)

/** What the ledger says of its work. `work`: something is due to it, or was shown to it and is due. */
export const supplied = <L extends Live>(
  life: L,
  ledger: { readonly work: "due" | "nothing"; readonly activeAt: EpochMs },
  now: EpochMs,
): L => {
  const works = ledger.work === "due" || life.claims.length > 0
  const workDueSince = works ? (life.workDueSince ?? now) : null
  const recordedAt = ledger.activeAt
  if (workDueSince === life.workDueSince && recordedAt === life.recordedAt) return life
  const activeAt = recordedAt === life.recordedAt ? life.activeAt : Math.min(recordedAt, now)
  return { ...life, workDueSince, recordedAt, activeAt }
}

/** The ledger recorded that it is to stop. */
export const stopped = (life: Live): Stopping =>
  life._tag === "Stopping"
    ? life
    : { ...life, _tag: "Stopping", askedAt: null, signalledAt: null, kill: null }

/** SIGKILL is sent. */
export const killed = (life: Stopping, now: EpochMs): Stopping => ({
  ...life,
  kill: { since: life.kill?.since ?? now, at: now, count: (life.kill?.count ?? 0) + 1 },
})

/** The engine heard SIGTERM. */
export const signalled = (life: Stopping, now: EpochMs): Stopping => ({
  ...life,
  signalledAt: life.signalledAt ?? now,
})

export const exited = (life: Life, exit: ObservedExit): Dead =>
  life._tag === "Dead"
    ? life
    : {
        _tag: "Dead",
        sessionId: life.sessionId,
        groupId: life.groupId,
        incarnation: life.incarnation,
        spawnedAt: life.spawnedAt,
        ageOrigin: life.ageOrigin,
        exit,
        finalReading: "owed",
        failedSince: null,
        rowSkew: life._tag === "Starting" ? null : life.rowSkew,
      }

/** The final reading failed once more. How long it has failed is `now - failedSince`. */
export const unread = (life: Dead, now: EpochMs): Dead & { readonly failedSince: EpochMs } => ({
  ...life,
  failedSince: life.failedSince ?? now,
})

/** Everything that the host observed is at `now` at the latest: a clock that was set back makes no age negative, and no grace endless. */
export const settled = (life: Life, now: EpochMs): Life => {
  const spawnedAt = Math.min(life.spawnedAt, now)
  switch (life._tag) {
    case "Starting":
      return { ...life, spawnedAt }
    case "Dead":
      return { ...life, spawnedAt, failedSince: earlier(life.failedSince, now) }
    case "Running":
      return { ...life, ...settledSigns(life, now), spawnedAt }
    case "Stopping":
      return {
        ...life,
        ...settledSigns(life, now),
        spawnedAt,
        askedAt: earlier(life.askedAt, now),
        signalledAt: earlier(life.signalledAt, now),
        kill: life.kill && {
          ...life.kill,
          since: Math.min(life.kill.since, now),
          at: Math.min(life.kill.at, now),
        },
      }
  }
}

const settledSigns = (life: Live, now: EpochMs): Signs =>
  withAnswers(
    {
      ...life,
      heartbeatAt: earlier(life.heartbeatAt, now),
      claims: life.claims.map((claim) => ({
        ...claim,
        firstSeenAt: Math.min(claim.firstSeenAt, now),
        notBefore: Math.min(claim.notBefore, now),
      })),
      firstSeen: new Map([...life.firstSeen].map(([key, at]) => [key, Math.min(at, now)])),
      workDueSince: earlier(life.workDueSince, now),
      activeAt: Math.min(life.activeAt, now),
      blindSince: earlier(life.blindSince, now),
    },
    now,
  )

const earlier = (at: EpochMs | null, now: EpochMs): EpochMs | null => (at === null ? null : Math.min(at, now))

/** The host's clock was set, or the host slept: ages start again, and the difference of the clocks is to be measured anew. */
export const clockJumped = (life: Life, now: EpochMs): Life => {
  const at = { ...settled(life, now), ageOrigin: now }
  return at._tag === "Running" || at._tag === "Stopping" ? { ...at, rowSkew: null, fileSkew: null } : at
}

const bounded = (at: EpochMs | null, { firstSeenAt, notBefore }: SeenClaim): EpochMs | null =>
  at === null ? null : Math.min(Math.max(at, notBefore), firstSeenAt)

/** The evidence that `decideStuckAction` judges. */
export const livenessOf = (life: Live): Liveness => {
  const skew = skewMs(life.rowSkew)
  return {
    spawnedAt: life.spawnedAt,
    ageOrigin: life.ageOrigin,
    heartbeatAt: life.heartbeatAt,
    claims: life.claims.map((claim) => ({
      messageId: claim.messageId,
      claimedAt: skew === 0 ? claim.changedAt : bounded(translated(claim.changedAt, skew), claim),
      precision: claim.precision,
      firstSeenAt: claim.firstSeenAt,
      answered: claim.answered,
    })),
    anyAck: life.anyAck,
    workDueSince: life.workDueSince,
    tool: toolInHostTime(life.tool, skew),
  }
}
