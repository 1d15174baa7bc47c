/**
 * One look at one running container about which something may have changed: ingest what it wrote, end what takes too long, show it what
 * came due, and work out what the planner should know.
 */
import { Effect } from "effect"
import type { EpochMs } from "../../domain/Instant.ts"
import * as Life from "../../domain/Life.ts"
import type { Session } from "../../domain/Session.ts"
import { crashable } from "../CrashPoint.ts"
import { type Glance, Mailbox, type Pair, type Reading } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { Clocks } from "./Clocks.ts"
import { drain, type News, slicesOf } from "./Drain.ts"
import { type Backlog, Fleet, type LiveMember } from "./Fleet.ts"
import { project } from "./Project.ts"
import { nextAudit, readStanding, replan, type Stands } from "./Standing.ts"

/** What can't be read is looked at again this soon: at once would be a loop that nothing ends. */
const BLIND_LOOK_MS = 1_000
/** The files of a running container may be unreadable for this long. */
const MAX_BLIND_MS = 300_000
/** Refused rows that one life has reported; what comes after them would only push others' history out. */
const MAX_REPORTED = 500
/** Outbound rows of one life, whatever it deletes in between. */
const MAX_WRITTEN = 10_000
/** A better measurement of a clock is written down when it differs by more than this. */
const MIN_NOTED_MS = 1_000

/** `glance`: what the pass just saw; null: nothing could be seen. */
export const look = Effect.fnUntraced(function* (
  member: LiveMember,
  glance: Glance | null,
  moment: Life.Moment,
) {
  if (glance === null) {
    yield* lookBlindly(member.pair)
    return "nothing" as const
  }
  const news = glance.stamp === member.files.stamp ? "nothing" : yield* readNew(member, glance.stamp, moment)
  const now = yield* (yield* Clocks).now
  yield* cancelOverdue(member.pair, now)
  const before = yield* standNow(member.pair, now)
  if (before === undefined) return news
  yield* noteSkew(before.member.life, before.stands)
  if ((yield* showDue(before.member, before.stands.session, now)) === "changed") {
    yield* standNow(member.pair, now)
  }
  return news
})

/** Asks the ledger and works out the plan again. */
const standNow = Effect.fnUntraced(function* (pair: Pair, now: EpochMs) {
  const fleet = yield* Fleet
  const known = fleet.changeLive(pair, (member) => member)
  const stands = known === undefined ? undefined : yield* readStanding(known, now)
  if (stands === undefined) {
    // A list that was being compared while its last reading went on may have brought it back: it would take room for ever.
    if (known !== undefined) fleet.leave(pair)
    return undefined
  }
  const member = fleet.changeLive(pair, (current) => {
    const life = stands.incarnation.phase === "stopping" ? Life.stopped(current.life) : current.life
    const auditAt = nextAudit(now, pair.sessionId)
    return { ...replan({ ...current, life }, stands.standing, now), auditAt }
  })
  return member === undefined ? undefined : { member, stands }
})

/** Nothing is known of what it did meanwhile, so it is not judged: all that matters is when its grace ends, if it is being stopped. */
export const lookBlindly = Effect.fnUntraced(function* (pair: Pair) {
  const now = yield* (yield* Clocks).now
  yield* noteBlind(pair, now)
  const stood = yield* standNow(pair, now)
  if (stood?.member.life._tag !== "Running") return
  const fleet = yield* Fleet
  fleet.changeLive(pair, (member) => ({ ...member, view: null, nextAt: now + BLIND_LOOK_MS }))
})

/** A container that hides what it wrote, or that a sick host can't see, is not waited for without end. No try is spent. */
const noteBlind = Effect.fnUntraced(function* (pair: Pair, now: EpochMs) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const member = fleet.changeLive(pair, (known) => ({ ...known, life: Life.blinded(known.life, now) }))
  if (member === undefined) return
  const blindMs = now - Math.max(member.life.blindSince ?? now, member.life.ageOrigin)
  if (blindMs <= MAX_BLIND_MS) return
  const why = `its files could not be read for ${blindMs} ms`
  yield* store.requestStop(pair.sessionId, pair.incarnation, "projection-blocked", why)
})

/** Reads what it wrote, unless the last reading still waits to be ingested, and ingests as much as one turn allows. */
const readNew = Effect.fnUntraced(function* (member: LiveMember, stamp: string, moment: Life.Moment) {
  const fleet = yield* Fleet
  const { pair } = member
  const backlog = member.files.backlog ?? (yield* readLive(member, stamp, moment))
  if (backlog === null) {
    yield* noteBlind(pair, yield* (yield* Clocks).now)
    return "nothing" satisfies News
  }
  const { left, news } = yield* drain(member, backlog)
  if (left !== null) {
    fleet.changeLive(pair, (known) => ({ ...known, files: { ...known.files, backlog: left } }))
    return "more" satisfies News
  }
  const { at, last, raw } = backlog
  for (const row of last.rejected) member.files.reported.add(`${row.table}/${row.id}`)
  fleet.changeLive(pair, (known) => ({
    ...known,
    files: { ...known.files, backlog: null, stamp: backlog.stamp },
    life: Life.ingested(known.life, raw, at),
  }))
  if (raw.outgrown || member.files.seen.size > MAX_WRITTEN) {
    const store = yield* SessionStore
    yield* store.requestStop(pair.sessionId, pair.incarnation, "outgrown", "it wrote too much")
  }
  return news
})

/** Null: the file is being written just now, and is read at the next look. */
const readLive = Effect.fnUntraced(function* (member: LiveMember, stamp: string, moment: Life.Moment) {
  const mailbox = yield* Mailbox
  const raw = yield* mailbox.read(member.pair, { seen: member.files.seen, mode: "live" }).pipe(
    crashable("mailbox.read"),
    Effect.catchTag("Unreadable", () => Effect.succeed(null)),
  )
  if (raw === null) return null
  // What was not readable at once may be older than the last look: nothing fresh can be told from it.
  const before = member.life.blindSince === null ? moment.before : null
  return backlogOf(member, raw, stamp, { now: yield* (yield* Clocks).now, before })
})

const backlogOf = (member: LiveMember, raw: Reading, stamp: string, at: Life.Moment): Backlog => {
  const { reported } = member.files
  const unsaid = raw.rejected.filter((row) => !reported.has(`${row.table}/${row.id}`))
  const rejected = unsaid.slice(0, Math.max(0, MAX_REPORTED - reported.size))
  const reading = { ...Life.inHostTime(Life.measured(member.life, raw, at), raw, at), rejected }
  return { ...slicesOf(reading), raw, stamp, at }
}

/** Cancels what it has worked on for longer than its task allows. The ledger is asked only when that can be. */
const cancelOverdue = Effect.fnUntraced(function* (pair: Pair, now: EpochMs) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const member = fleet.of(pair.sessionId)
  if (member?.standing?.overdueAt == null || now < member.standing.overdueAt) return
  yield* store.cancelOverdue(pair.sessionId, member.life.ageOrigin, now)
})

/** A restart must know the difference of the clocks, or it would take a hang for fresh work. */
const noteSkew = Effect.fnUntraced(function* (life: Life.Live, { incarnation }: Stands) {
  const store = yield* SessionStore
  const rowSkewMs = Life.skewMs(life.rowSkew)
  const fileSkewMs = Life.skewMs(life.fileSkew)
  const differs = (recorded: number | null, ms: number) => Math.abs((recorded ?? 0) - ms) > MIN_NOTED_MS
  if (!differs(incarnation.rowSkewMs, rowSkewMs) && !differs(incarnation.fileSkewMs, fileSkewMs)) return
  yield* store.noteSkew(life.sessionId, life.incarnation, { rowSkewMs, fileSkewMs })
})

/** Admits what has come due and brings inbound.db up to the ledger. A lock that will not go away stops the container. */
const showDue = Effect.fnUntraced(function* (member: LiveMember, session: Session, now: EpochMs) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const { pair } = member
  const { projected } = member.files
  const admits = member.life._tag === "Running" && session.wakeAt !== null && session.wakeAt <= now
  if (!admits && projected !== null && projected >= session.revision) return "same" as const
  const admitted = admits ? yield* Effect.option(store.admitMore(pair.sessionId)) : null
  const blocked = (message: string) =>
    Effect.as(store.requestStop(pair.sessionId, pair.incarnation, "projection-blocked", message), projected)
  const revision = yield* project(pair, projected).pipe(
    Effect.catchTag("ProjectionBlocked", ({ message, underWay }) =>
      underWay === true ? Effect.succeed(projected) : blocked(message),
    ),
    // The host's own trouble, and not the session's: its next container has a file that was never written to.
    Effect.catchTag("MailboxError", ({ message }) => blocked(message)),
  )
  fleet.changeLive(pair, (known) => ({
    ...known,
    needsFresh: admitted?._tag === "Some" ? admitted.value.needsFresh : known.needsFresh,
    files: { ...known.files, projected: revision },
  }))
  return "changed" as const
})
