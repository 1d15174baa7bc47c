/**
 * Compares what runs with what the ledger says, in both directions: adopts what an earlier daemon started, stops strangers, and ends lives
 * whose container is gone. "Unknown" is never "dead": only an answer of the runtime counts.
 */
import { Clock, Effect, Schema } from "effect"
import { type Incarnation, livedElsewhere } from "../../domain/Incarnation.ts"
import {
  type ContainerRef,
  ContainerRef as Ref,
  ContainerRuntime,
  type ContainerStatus,
} from "../ContainerRuntime.ts"
import { crashable } from "../CrashPoint.ts"
import type { Pair } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { Errands } from "./Errands.ts"
import { Fleet } from "./Fleet.ts"
import { Starts } from "./Starts.ts"

/** Between two tries of a list that has to be made, each time later by this. */
const RELIST_MS = 1_000
const MAX_RELIST_MS = 5_000

const decodeRef = Schema.decodeUnknownOption(Schema.fromJsonString(Ref))
export const encodeRef = (ref: ContainerRef): string => JSON.stringify(ref)

/** Fails with `RuntimeUnavailable` when the runtime does not list. */
const reconcile = Effect.fnUntraced(function* () {
  const store = yield* SessionStore
  const runtime = yield* ContainerRuntime
  const starts = yield* Starts
  // A container that started while the engine made its list is not on it, and lives: only those from before can be missed.
  const before = yield* store.read((reader) => reader.liveIncarnations())
  const lived = new Set(before.map(keyOf))
  const expected = new Set(before.flatMap((row) => (starts.underWay.has(row.sessionId) ? [] : [keyOf(row)])))
  const listed = yield* runtime.list.pipe(crashable("runtime.list"))
  const rows = yield* store.read((reader) => reader.liveIncarnations())
  const missing = new Map(rows.map((row) => [keyOf(row), row]))
  const current = new Map(rows.map((row) => [row.sessionId, row.number]))
  for (const status of listed) {
    const { labels } = status.ref
    const key = `${labels.session}/${labels.incarnation}`
    const row = missing.get(key)
    missing.delete(key)
    if (row !== undefined) yield* found(row, status)
    // One whose life ended while the engine made its list is no stranger: who ended it removes it.
    else if (!lived.has(key)) {
      // One that is older than the one being started holds its name.
      const isOlder = labels.incarnation < (current.get(labels.session) ?? 0)
      if (isOlder || !starts.underWay.has(labels.session)) yield* endStranger(key, status)
    }
  }
  for (const row of missing.values()) {
    if (starts.underWay.has(row.sessionId) || !expected.has(keyOf(row))) continue
    yield* notFound(row)
  }
})

/** The runtime has it. */
const found = Effect.fnUntraced(function* (row: Incarnation, status: ContainerStatus) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const runtime = yield* ContainerRuntime
  const known = fleet.adopt(row, status.ref, yield* Clock.currentTimeMillis)
  if (known.life._tag === "Starting") return
  if (status._tag === "Exited") {
    fleet.exit(pairOf(row), { ...status.exit, manner: "exited" }, status.ref)
    return
  }
  fleet.change(pairOf(row), (member) => ({ ...member, ref: status.ref }))
  yield* Effect.ignore(runtime.adopt(status.ref).pipe(crashable("runtime.adopt")))
  const handle = encodeRef(status.ref)
  if (row.phase === "starting" || row.handle !== handle)
    yield* store.markStarted(row.sessionId, row.number, handle)
})

const endStranger = Effect.fnUntraced(function* (key: string, status: ContainerStatus) {
  const runtime = yield* ContainerRuntime
  yield* Effect.logWarning(`container ${key} is not in the ledger: it is stopped`)
  yield* Effect.ignore(status._tag === "Running" ? runtime.kill(status.ref) : runtime.remove(status.ref))
})

/** The runtime does not have it. */
const notFound = Effect.fnUntraced(function* (row: Incarnation) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const runtime = yield* ContainerRuntime
  if (row.phase === "starting") {
    yield* store.failStart(row.sessionId, row.number, {
      reason: "Interrupted",
      message: "the daemon stopped before the container existed",
      backOff: "breaker",
    })
    fleet.leave(pairOf(row))
    return
  }
  const ref = row.handle === null ? null : decodeRef(row.handle)
  fleet.adopt(row, ref?._tag === "Some" ? ref.value : null, yield* Clock.currentTimeMillis)
  const { install } = yield* Starts
  fleet.exit(pairOf(row), {
    exitCode: null,
    signal: null,
    oomKilled: false,
    manner: livedElsewhere(row, install) ? "elsewhere" : row.bootId === runtime.bootId ? "exited" : "gone",
  })
})

const keyOf = (row: Incarnation): string => `${row.sessionId}/${row.number}`

export const pairOf = (row: Incarnation): Pair => ({
  groupId: row.groupId,
  sessionId: row.sessionId,
  incarnation: row.number,
})

/** Lists and reconciles beside everything else: an engine that hangs over its list keeps nobody waiting. */
export const listBeside = Effect.gen(function* () {
  const needs = yield* Effect.context<SessionStore | ContainerRuntime | Starts | Fleet>()
  const errands = yield* Errands
  yield* errands.run("list", Effect.ignore(listed).pipe(Effect.provideContext(needs)))
})

/** A runtime that does not list is a state, and said once. Returns why it did not; null: it did. */
const listed = Effect.gen(function* () {
  const { listing } = yield* Starts
  return yield* reconcile().pipe(
    Effect.andThen(listing.worked),
    Effect.as(null),
    Effect.catchTag("RuntimeUnavailable", ({ message }) => Effect.as(listing.failed(message), message)),
  )
})

/**
 * Lists until the runtime answers, each time later. `unlisted` is done whenever it did not. Returns how often that was; null: the daemon
 * stops, and lists by itself.
 */
export const listedAtLast = Effect.fnUntraced(function* (unlisted: (why: string) => Effect.Effect<void>) {
  const starts = yield* Starts
  for (let failures = 0; ;) {
    const why = yield* listed
    if (why === null) return failures
    yield* unlisted(why)
    if (starts.isClosing()) return null
    failures += 1
    yield* Effect.sleep(Math.min(failures * RELIST_MS, MAX_RELIST_MS))
  }
})
