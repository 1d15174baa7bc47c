/**
 * One look at one live container: notice its heartbeat, ingest what it wrote, show it what came due, and end it when its death
 * is confirmed. Cheap when nothing changed: a few lstat calls and no query of history.
 */
import { Clock, Effect } from "effect"
import { observeHeartbeat } from "../domain/Heartbeat.ts"
import type { SessionId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import type { Session } from "../domain/Session.ts"
import { wakes } from "../domain/Message.ts"
import type { LiveView } from "../domain/SweepPlan.ts"
import { ContainerRuntime } from "./ContainerRuntime.ts"
import { crashable } from "./CrashPoint.ts"
import type { LedgerReader } from "./LedgerDriver.ts"
import { overdueOf } from "./ledger/Occurrences.ts"
import { policyOf } from "./ledger/SessionUnit.ts"
import { withLastWords } from "./LastWords.ts"
import { type AckRow, Mailbox, type Pair, Quarantined, type Reading, type Unreadable } from "./Mailbox.ts"
import { slicesOf } from "./ReadingSlices.ts"
import { SessionStore } from "./SessionStore.ts"
import type { Watch } from "./Watch.ts"
import { Workspace } from "./Workspace.ts"

/** Bytes of each stream that an exit log keeps. */
const EXIT_LOG_BYTES = 256 * 1024
/** Rows shown to one container at most, context included, for the question whether any of them is work. */
const MAX_SHOWN = 10_000
/** The files of a running container may be unreadable for this long. */
const MAX_BLIND_MS = 300_000
/** Refused rows that one life has reported; what comes after them would only push others' history out. */
const MAX_REPORTED = 500
/** Outbound rows of one life, whatever it deletes in between. */
const MAX_WRITTEN = 10_000
/** Claims that are remembered when they are gone. */
const MAX_REMEMBERED = 20_000
/** Transactions of one look: the rest of what a container wrote waits for the next one, so that others have their turn. */
const MAX_SLICES = 5
/** The final reading may fail for this long before the session is quarantined. */
const FINAL_PATIENCE_MS = 60_000

/** Dead, and its last files can't be read: nothing more happens to it before an operator releases its session. */
export const isGivenUp = (watch: Watch): boolean => watch.exit !== null && watch.finalReading === "given-up"

/** An empty reading: what is ingested where nothing could be read. */
export const emptyReading: Reading = {
  acks: [],
  outbound: [],
  tool: null,
  sessionState: [],
  rejected: [],
  outgrown: false,
  newestAt: null,
}

export interface Looked {
  /** Absent when the incarnation ended in this look. */
  readonly view: LiveView | null
  readonly news: "news" | "nothing"
}

const pairOf = (incarnation: Incarnation): Pair => ({
  groupId: incarnation.groupId,
  sessionId: incarnation.sessionId,
  incarnation: incarnation.number,
})

export const look = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch) {
  if (watch.exit !== null) return yield* end(incarnation, watch)
  const mailbox = yield* Mailbox
  const store = yield* SessionStore
  const pair = pairOf(incarnation)
  const now = yield* Clock.currentTimeMillis
  const seen = mailbox.glance(pair)
  if (seen._tag === "Quarantined") return yield* seen
  const glance = seen._tag === "Glance" ? seen : null
  watch.heartbeat = observeHeartbeat(watch.heartbeat, glance?.heartbeatMtime ?? null, now)
  let news: Looked["news"] = "nothing"
  if (glance === null) {
    // Nothing is known of it: it is not judged by what it may have done meanwhile.
    yield* noteBlind(pair, watch, now)
    return { view: null, news } satisfies Looked
  }
  if (glance.stamp === watch.stamp) watch.blindSince = null
  else {
    const reading = yield* readLive(pair, watch)
    if (reading === null) yield* noteBlind(pair, watch, now)
    else {
      watch.blindSince = null
      const taken = yield* take(incarnation, watch, reading)
      news = taken.news
      watch.stamp = taken.left === "nothing" ? glance.stamp : null
      if (reading.outgrown || watch.seen.size > MAX_WRITTEN)
        yield* store.requestStop(pair.sessionId, pair.incarnation, "outgrown", "it wrote too much")
    }
  }
  if (watch.claims.length > 0) yield* cancelOverdue(pair.sessionId, now, watch.ageOrigin)
  const before = yield* standing(pair, watch, now)
  if (before === undefined) return { view: null, news } satisfies Looked
  const shown = yield* showDue(incarnation, watch, before.session, now)
  const after = shown === "changed" ? yield* standing(pair, watch, now) : before
  if (after === undefined) return { view: null, news } satisfies Looked
  return { view: viewOf(after, watch, now), news } satisfies Looked
})

/** All that matters of a container that is being stopped and can't be looked at: when its grace ends. */
export const stoppingView = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch) {
  const now = yield* Clock.currentTimeMillis
  const stands = yield* standing(pairOf(incarnation), watch, now)
  return stands?.current.phase === "stopping" ? viewOf(stands, watch, now) : null
})

/** A container that hides what it wrote, or that a sick host can't see, is not waited for without end; nobody pays a try for it. */
const noteBlind = Effect.fnUntraced(function* (pair: Pair, watch: Watch, now: number) {
  watch.blindSince = Math.min(watch.blindSince ?? now, now)
  const blindMs = now - Math.max(watch.blindSince, watch.ageOrigin)
  if (blindMs <= MAX_BLIND_MS) return
  const store = yield* SessionStore
  const why = `its files could not be read for ${blindMs} ms`
  yield* store.requestStop(pair.sessionId, pair.incarnation, "projection-blocked", why)
})

const cancelOverdue = Effect.fnUntraced(function* (sessionId: SessionId, now: number, ageOrigin: number) {
  const store = yield* SessionStore
  const overdue = yield* store.read((reader) => overdueOf(reader, sessionId, now, ageOrigin))
  if (overdue.length > 0) yield* store.cancelOverdue(sessionId, ageOrigin)
})

interface Standing {
  readonly session: Session
  readonly current: Incarnation
  readonly policy: LiveView["policy"]
  /** Whether a message that it was shown waits to be claimed. */
  readonly shown: boolean
}

/** How the ledger stands, in one read: a running session where nothing changed costs no other. */
const standing = (pair: Pair, watch: Watch, now: number) =>
  SessionStore.use((store) =>
    store.read((reader): Standing | undefined => {
      const session = reader.session(pair.sessionId)
      const current = reader.incarnation(pair.sessionId, pair.incarnation)
      if (session === undefined || current === undefined) return undefined
      const policy = policyOf(reader, session.groupId, store.options.policy)
      return {
        session,
        current,
        policy,
        shown: session.queued > 0 && showsWork(reader, pair, watch, policy, now),
      }
    }),
  )

/** Only a container that the answer could condemn is worth the question; of any other it is supposed that it has something to do. */
const showsWork = (
  reader: LedgerReader,
  pair: Pair,
  watch: Watch,
  policy: LiveView["policy"],
  now: number,
): boolean => {
  const heartbeatAt = watch.heartbeat?.heartbeatAt ?? null
  const condemned = heartbeatAt === null ? !watch.anyAck : now > heartbeatAt + policy.ceilingMs
  return (
    !condemned ||
    reader
      .admittedOpen(pair.sessionId, pair.incarnation, MAX_SHOWN)
      .some((message) => wakes(message) && message.dueAt <= now)
  )
}

/** A file that is being written just now is read at the next look. */
const readLive = (pair: Pair, watch: Watch) =>
  Mailbox.use((mailbox) =>
    mailbox.read(pair, { seen: watch.seen, mode: "live" }).pipe(
      crashable("mailbox.read"),
      Effect.catchTag("Unreadable", () => Effect.succeed(null)),
    ),
  )

const take = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch, reading: Reading) {
  const now = yield* Clock.currentTimeMillis
  const unsaid = reading.rejected.filter((row) => !watch.reported.has(`${row.table}/${row.id}`))
  const fresh: Reading = {
    ...reading,
    rejected: unsaid.slice(0, Math.max(0, MAX_REPORTED - watch.reported.size)),
  }
  const taken = yield* ingest(incarnation, watch, fresh)
  if (taken.left === "more") return taken
  for (const row of fresh.rejected) watch.reported.add(`${row.table}/${row.id}`)
  watch.claims = reading.acks.filter((ack) => ack.status === "processing")
  for (const claim of watch.claims) {
    const key = claimKey(claim)
    if (!watch.firstSeen.has(key)) watch.firstSeen.set(key, now)
  }
  if (watch.firstSeen.size > MAX_REMEMBERED) forgetGone(watch)
  watch.anyAck = watch.anyAck || reading.acks.length > 0
  watch.tool = reading.tool
  return taken
})

/** Slice by slice; what a crash leaves out of it is found again, and what is in the ledger is known by its id. */
const ingest = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch, reading: Reading) {
  const store = yield* SessionStore
  const { first, last } = slicesOf(reading)
  let news: Looked["news"] = "nothing"
  for (const slice of [...first, last].slice(0, MAX_SLICES)) {
    if ((yield* store.ingest(incarnation, slice)).news === "news") news = "news"
    for (const row of slice.outbound) watch.seen.add(row.id)
  }
  return { news, left: first.length < MAX_SLICES ? ("nothing" as const) : ("more" as const) }
})

/** A container could claim under ever new times, and have the host remember them all. */
const forgetGone = (watch: Watch): void => {
  const standing = new Set(watch.claims.map(claimKey))
  for (const key of watch.firstSeen.keys()) if (!standing.has(key)) watch.firstSeen.delete(key)
  for (const key of watch.answered) if (!standing.has(key)) watch.answered.delete(key)
}

const claimKey = (claim: { readonly messageId: string; readonly changedAt: number | null }): string =>
  `${claim.messageId}@${claim.changedAt}`

/** Admits what has come due and brings inbound.db up to the ledger. A lock that will not go away stops the container. */
const showDue = Effect.fnUntraced(function* (
  incarnation: Incarnation,
  watch: Watch,
  session: Session,
  now: number,
) {
  const store = yield* SessionStore
  const { sessionId, number } = incarnation
  const admits = incarnation.phase !== "stopping" && session.wakeAt !== null && session.wakeAt <= now
  if (admits) {
    const admitted = yield* Effect.option(store.admitMore(sessionId))
    if (admitted._tag === "Some") watch.needsFresh = admitted.value.needsFresh
  } else if (watch.projected !== null && watch.projected >= session.revision) {
    return "same" as const
  }
  yield* project(incarnation, watch).pipe(
    Effect.catchTag("ProjectionBlocked", ({ message, underWay }) =>
      underWay === true
        ? Effect.void
        : Effect.asVoid(store.requestStop(sessionId, number, "projection-blocked", message)),
    ),
    // The host's own trouble, and not the session's: its next container has a file that was never written to.
    Effect.catchTag("MailboxError", ({ message }) =>
      Effect.asVoid(store.requestStop(sessionId, number, "projection-blocked", message)),
    ),
  )
  return "changed" as const
})

/** Brings inbound.db to the ledger's revision. */
export const project = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch) {
  const store = yield* SessionStore
  const mailbox = yield* Mailbox
  const pair = pairOf(incarnation)
  const from = watch.projected ?? (yield* mailbox.revision(pair))
  const projection = yield* store.projection(pair.sessionId, pair.incarnation, from)
  if (projection !== undefined) {
    yield* mailbox.project(pair, projection).pipe(crashable("mailbox.project"))
    watch.projected = projection.revision
  } else {
    watch.projected = from
  }
})

const viewOf = (stands: Standing, watch: Watch, now: number): LiveView => {
  const { current: incarnation, policy, session, shown } = stands
  const due = session.wakeAt !== null && session.wakeAt <= now
  watch.workDueSince =
    due || shown || watch.claims.length > 0 ? Math.min(watch.workDueSince ?? now, now) : null
  settleClocks(incarnation, watch, now)
  // Who has not shown itself yet is still starting: what it was shown is due to it, and the startup limit judges it.
  const isStarting = (watch.heartbeat?.heartbeatAt ?? null) === null && !watch.anyAck
  return {
    sessionId: session.id,
    groupId: session.groupId,
    incarnation: incarnation.number,
    phase: incarnation.phase,
    stopRequestedAt: watch.signalledAt,
    killed: watch.killed,
    liveness: {
      spawnedAt: watch.spawnedAt ?? now,
      ageOrigin: watch.ageOrigin,
      heartbeatAt: watch.heartbeat?.heartbeatAt ?? null,
      claims: watch.claims.map((claim) => claimView(claim, watch, now)),
      anyAck: watch.anyAck,
      workDueSince: watch.workDueSince,
      tool: watch.tool,
    },
    activeAt: Math.max(watch.active?.at ?? 0, watch.heartbeat?.heartbeatAt ?? 0),
    due: due || (shown && isStarting) ? "due" : "nothing",
    needsFresh: watch.needsFresh,
    policy,
  }
}

/**
 * What the host observed is never in the future. When the clock was set back it counts as observed now, once: asked again at each
 * look, an age would never grow and a grace never end.
 */
const settleClocks = (incarnation: Incarnation, watch: Watch, now: number): void => {
  watch.spawnedAt = Math.min(watch.spawnedAt ?? incarnation.spawnedAt, now)
  if (watch.signalledAt !== null) watch.signalledAt = Math.min(watch.signalledAt, now)
  const { activeAt } = incarnation
  const lastAt = watch.active?.recorded === activeAt ? watch.active.at : activeAt
  watch.active = { recorded: activeAt, at: Math.min(lastAt, now) }
  const heartbeatAt = watch.heartbeat?.heartbeatAt ?? 0
  const heartbeatMtime = watch.heartbeat?.mtime ?? 0
  for (const claim of watch.claims) {
    const key = claimKey(claim)
    const seenAt = Math.min(watch.firstSeen.get(key) ?? now, now)
    watch.firstSeen.set(key, seenAt)
    // Both in the future: made before the clock was set back, and by one clock, so their own order tells.
    const before = claim.changedAt !== null && claim.changedAt > now ? claim.changedAt : null
    const answered = heartbeatAt > Math.min(claim.changedAt ?? seenAt, seenAt)
    if (answered || (before !== null && heartbeatMtime > before)) watch.answered.add(key)
  }
}

/** A claim that a heartbeat has once come after stays answered, whatever becomes of the clock. */
const claimView = (claim: AckRow, watch: Watch, now: number): LiveView["liveness"]["claims"][number] => {
  const key = claimKey(claim)
  const firstSeenAt = watch.firstSeen.get(key) ?? now
  const messageId = claim.messageId as LiveView["liveness"]["claims"][number]["messageId"]
  const answeredBy = watch.answered.has(key) ? (watch.heartbeat?.heartbeatAt ?? null) : null
  return answeredBy === null
    ? { messageId, claimedAt: claim.changedAt, precision: claim.precision, firstSeenAt }
    : {
        messageId,
        claimedAt: Math.min(claim.changedAt ?? firstSeenAt, answeredBy - 1),
        precision: claim.precision,
        firstSeenAt: Math.min(firstSeenAt, answeredBy - 1),
      }
}

/** Reads for the last time and ends the incarnation in one transaction; then the log, and the runtime may forget it. */
const end = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch) {
  const store = yield* SessionStore
  const exit = watch.exit
  if (exit === null) return { view: null, news: "nothing" } satisfies Looked
  const reading = yield* readFinal(incarnation, watch)
  if (reading === null) return { view: null, news: "nothing" } satisfies Looked
  const { first, last } = slicesOf(reading)
  for (const slice of first.slice(0, MAX_SLICES)) {
    yield* store.ingest(incarnation, slice)
    for (const row of slice.outbound) watch.seen.add(row.id)
  }
  if (first.length > MAX_SLICES) return { view: null, news: "nothing" } satisfies Looked
  const told = yield* withLastWords(exit, watch.ref)
  const ended = yield* store.endIncarnation(incarnation.sessionId, incarnation.number, told, last)
  if (ended !== undefined) yield* afterEnd(ended, watch)
  return { view: null, news: "news" } satisfies Looked
})

/**
 * Null: not now. A pair that can't be read in the end quarantines its session: it stays the session's last incarnation, nothing wakes
 * and no try is spent. An operator's release has it read once more; what can't be read then is given up, and the release stands.
 */
const readFinal = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch) {
  const mailbox = yield* Mailbox
  const store = yield* SessionStore
  const { sessionId, number } = incarnation
  const session = yield* store.read((reader) => reader.session(sessionId))
  const now = yield* Clock.currentTimeMillis
  const givenUp = watch.finalReading === "given-up"
  if (givenUp && session?.status === "quarantined") return null
  const failed = (error: Unreadable | Quarantined) =>
    Effect.gen(function* () {
      if (error._tag === "Unreadable" && error.underWay === true) return null
      const why = error._tag === "Quarantined" ? error.reason : error.message
      if (givenUp) {
        yield* Effect.logWarning(`the last rows of ${sessionId}, incarnation ${number}, are lost: ${why}`)
        return {
          ...emptyReading,
          sessionState: yield* store.read((reader) => reader.sessionState(sessionId)),
        }
      }
      watch.finalFailedSince = Math.min(watch.finalFailedSince ?? now, now)
      const failedMs = now - Math.max(watch.finalFailedSince, watch.ageOrigin)
      // A disk that is full or a host without descriptors is not the session's doing, and may be over in a moment.
      if (error._tag === "Unreadable" && failedMs <= FINAL_PATIENCE_MS) return null
      watch.finalReading = "given-up"
      if (session?.status !== "quarantined") {
        yield* Effect.logError(`session ${sessionId} is set aside: its last files can't be read: ${why}`)
      }
      yield* store.setStatus(sessionId, "quarantined", `its last files can't be read: ${why}`)
      yield* store.requestStop(sessionId, number, "quarantine", why)
      return null
    })
  return yield* mailbox.read(pairOf(incarnation), { seen: watch.seen, mode: "final" }).pipe(
    crashable("mailbox.finalRead"),
    // The code that reads it fails at it: as good as files that are not what the host made, so that a release can end it.
    Effect.catchDefect((defect) =>
      Effect.fail(new Quarantined({ reason: defect instanceof Error ? defect.message : String(defect) })),
    ),
    Effect.catchTag(["Unreadable", "Quarantined"], failed),
  )
})

const afterEnd = Effect.fnUntraced(function* (ended: Incarnation, watch: Watch) {
  const { ref } = watch
  if (ref === null) return
  const runtime = yield* ContainerRuntime
  const workspace = yield* Workspace
  if (ended.exitCode !== 0 || workspace.zeroExitLogs === "keep") yield* Effect.ignore(writeLog(ended, ref))
  yield* Effect.ignore(runtime.remove(ref).pipe(crashable("runtime.remove")))
})

const writeLog = Effect.fnUntraced(function* (ended: Incarnation, ref: NonNullable<Watch["ref"]>) {
  const runtime = yield* ContainerRuntime
  const workspace = yield* Workspace
  const store = yield* SessionStore
  const output = yield* runtime.output(ref, EXIT_LOG_BYTES)
  const path = yield* workspace
    .writeExitLog({
      sessionId: ended.sessionId,
      incarnation: ended.number,
      at: ended.endedAt ?? ended.spawnedAt,
      header: [
        ["session", ended.sessionId],
        ["group", ended.groupId],
        ["incarnation", String(ended.number)],
        ["runtime", runtime.kind],
        ["reason", ended.reason ?? "unknown"],
        ["exit code", ended.exitCode === null ? "unknown" : String(ended.exitCode)],
        ["signal", ended.signal ?? "none"],
        ["out of memory", ended.oomKilled ? "yes" : "no"],
        ["duration", `${ended.durationMs ?? 0} ms`],
        ["why", ended.error ?? ""],
        ...(output.facts ?? []),
      ],
      stdout: output.stdout,
      stderr: output.stderr,
    })
    .pipe(crashable("workspace.writeExitLog"))
  yield* store.recordLog(ended.sessionId, ended.number, path)
})
