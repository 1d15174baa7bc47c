/**
 * One look at one live container: notice its heartbeat, ingest what it wrote, show it what came due, and end it when its death
 * is confirmed. Cheap when nothing changed: a few lstat calls and no query of history.
 */
import { Clock, Effect } from "effect"
import { observeHeartbeat } from "../domain/Heartbeat.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import type { Session } from "../domain/Session.ts"
import type { LiveView } from "../domain/SweepPlan.ts"
import { ContainerRuntime } from "./ContainerRuntime.ts"
import { crashable } from "./CrashPoint.ts"
import { policyOf } from "./ledger/SessionUnit.ts"
import {
  type AckRow,
  Mailbox,
  type Pair,
  type Quarantined,
  type Reading,
  type Unreadable,
} from "./Mailbox.ts"
import { SessionStore } from "./SessionStore.ts"
import type { Watch } from "./Watch.ts"
import { Workspace } from "./Workspace.ts"

/** Bytes of each stream that an exit log keeps. */
const EXIT_LOG_BYTES = 256 * 1024
/** Final readings that may fail before the session is quarantined. */
const MAX_FINAL_FAILURES = 5

/** An empty reading: what is ingested where nothing could be read. */
export const emptyReading: Reading = {
  acks: [],
  outbound: [],
  tool: null,
  sessionState: [],
  rejected: [],
  outgrown: false,
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
  const glance = yield* mailbox.glance(pair)
  watch.heartbeat = observeHeartbeat(watch.heartbeat, glance.heartbeatMtime, now)
  let news: Looked["news"] = "nothing"
  if (glance.stamp !== watch.stamp) {
    const reading = yield* readLive(pair, watch)
    if (reading !== null) {
      news = yield* take(incarnation, watch, reading)
      watch.stamp = glance.stamp
      if (reading.outgrown)
        yield* store.requestStop(pair.sessionId, pair.incarnation, "outgrown", "it wrote too much")
    }
  }
  if (watch.claims.length > 0 && (yield* isOverdue(pair, now))) yield* store.cancelOverdue(pair.sessionId)
  const before = yield* standing(pair)
  if (before === undefined) return { view: null, news } satisfies Looked
  const shown = yield* showDue(incarnation, watch, before.session, now)
  const after = shown === "changed" ? yield* standing(pair) : before
  if (after === undefined) return { view: null, news } satisfies Looked
  return { view: viewOf(after.session, after.current, watch, after.policy, now), news } satisfies Looked
})

/** Whether it works on an occurrence for longer than the task allows. */
const isOverdue = (pair: Pair, now: number) =>
  SessionStore.use((store) =>
    store.read((reader) =>
      reader.openAttempts(pair.sessionId).some((attempt) => {
        const message = reader.message(attempt.messageId)
        if (message === undefined || message.seriesId === null) return false
        const limitMs = reader.series(message.seriesId)?.policy.startToCloseMs ?? null
        return limitMs !== null && now - (message.claimedAt ?? attempt.claimedAt) > limitMs
      }),
    ),
  )

/** How the ledger stands, in one read: a running session where nothing changed costs no other. */
const standing = (pair: Pair) =>
  SessionStore.use((store) =>
    store.read((reader) => {
      const session = reader.session(pair.sessionId)
      const current = reader.incarnation(pair.sessionId, pair.incarnation)
      if (session === undefined || current === undefined) return undefined
      return { session, current, policy: policyOf(reader, session.groupId, store.options.policy) }
    }),
  )

/** A file that is being written just now is read at the next look. */
const readLive = (pair: Pair, watch: Watch) =>
  Mailbox.use((mailbox) =>
    mailbox.read(pair, { seen: watch.seen, mode: "live" }).pipe(
      crashable("mailbox.read"),
      Effect.catchTag("Unreadable", () => Effect.succeed(null)),
    ),
  )

const take = Effect.fnUntraced(function* (incarnation: Incarnation, watch: Watch, reading: Reading) {
  const store = yield* SessionStore
  const now = yield* Clock.currentTimeMillis
  const fresh: Reading = {
    ...reading,
    rejected: reading.rejected.filter((row) => !watch.reported.has(`${row.table}/${row.id}`)),
  }
  const ingested = yield* store.ingest(incarnation, fresh)
  for (const row of fresh.rejected) watch.reported.add(`${row.table}/${row.id}`)
  for (const row of reading.outbound) watch.seen.add(row.id)
  watch.claims = reading.acks.filter((ack) => ack.status === "processing")
  for (const claim of watch.claims) {
    const key = claimKey(claim)
    if (!watch.firstSeen.has(key)) watch.firstSeen.set(key, now)
  }
  watch.anyAck = watch.anyAck || reading.acks.length > 0
  watch.tool = reading.tool
  return ingested.news
})

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
    Effect.catchTag("ProjectionBlocked", (blocked) =>
      store.requestStop(sessionId, number, "projection-blocked", blocked.message),
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

const viewOf = (
  session: Session,
  incarnation: Incarnation,
  watch: Watch,
  policy: LiveView["policy"],
  now: number,
): LiveView => {
  const due =
    watch.claims.length > 0 || (session.wakeAt !== null && session.wakeAt <= now) || session.queued > 0
  if (!due) watch.workDueSince = null
  else watch.workDueSince ??= now
  settleClocks(incarnation, watch, now)
  return {
    sessionId: session.id,
    groupId: session.groupId,
    incarnation: incarnation.number,
    phase: incarnation.phase,
    stopRequestedAt: watch.stopRequestedAt,
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
    activeAt: Math.min(Math.max(incarnation.activeAt, watch.heartbeat?.heartbeatAt ?? 0), now),
    due: session.wakeAt !== null && session.wakeAt <= now ? "due" : "nothing",
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
  if (incarnation.stopRequestedAt !== null) {
    watch.stopRequestedAt = Math.min(watch.stopRequestedAt ?? incarnation.stopRequestedAt, now)
  }
  const heartbeatAt = watch.heartbeat?.heartbeatAt ?? 0
  for (const claim of watch.claims) {
    const key = claimKey(claim)
    const seenAt = Math.min(watch.firstSeen.get(key) ?? now, now)
    watch.firstSeen.set(key, seenAt)
    if (heartbeatAt > Math.min(claim.changedAt ?? seenAt, seenAt)) watch.answered.add(key)
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
  const ended = yield* store.endIncarnation(incarnation.sessionId, incarnation.number, exit, reading)
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
  const givenUp = watch.finalFailures >= MAX_FINAL_FAILURES
  if (givenUp && session?.status === "quarantined") return null
  const failed = (error: Unreadable | Quarantined) =>
    Effect.gen(function* () {
      const why = error._tag === "Quarantined" ? error.reason : error.message
      if (givenUp) {
        yield* Effect.logWarning(`the last rows of ${sessionId}, incarnation ${number}, are lost: ${why}`)
        return emptyReading
      }
      watch.finalFailures = error._tag === "Quarantined" ? MAX_FINAL_FAILURES : watch.finalFailures + 1
      if (watch.finalFailures < MAX_FINAL_FAILURES) return null
      yield* store.setStatus(sessionId, "quarantined", `its last files can't be read: ${why}`)
      yield* store.requestStop(sessionId, number, "quarantine", why)
      return null
    })
  return yield* mailbox
    .read(pairOf(incarnation), { seen: watch.seen, mode: "final" })
    .pipe(crashable("mailbox.finalRead"), Effect.catchTag(["Unreadable", "Quarantined"], failed))
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
      ],
      ...output,
    })
    .pipe(crashable("workspace.writeExitLog"))
  yield* store.recordLog(ended.sessionId, ended.number, path)
})
