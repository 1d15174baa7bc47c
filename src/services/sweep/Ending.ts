/** The end of a life whose death is confirmed: its files are read for the last time, one transaction ends it, and then its log is kept. */
import { Effect } from "effect"
import { type Incarnation, isWanted, type ObservedExit } from "../../domain/Incarnation.ts"
import { inHostTime, unread } from "../../domain/Life.ts"
import { type ContainerRef, ContainerRuntime } from "../ContainerRuntime.ts"
import { crashable } from "../CrashPoint.ts"
import { emptyReading, Mailbox, Quarantined, type Unreadable } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"
import { Workspace } from "../Workspace.ts"
import { Clocks } from "./Clocks.ts"
import { drain, type News, slicesOf } from "./Drain.ts"
import { type DeadMember, Fleet } from "./Fleet.ts"

/** Bytes of each stream that an exit log keeps. */
const EXIT_LOG_BYTES = 256 * 1024
/** The exit codes of a runner that can't work: a fault of its own, a file that it can't write, a wrong configuration. */
const TELLING_CODES: ReadonlySet<number | null> = new Set([70, 74, 78])
const LAST_WORDS_BYTES = 16 * 1024
const MAX_LAST_WORDS = 300
/** The final reading may fail for this long before the session is quarantined. */
const FINAL_PATIENCE_MS = 60_000

/** Takes the next step to the end of this life. `nothing`: it has to wait. */
export const end = Effect.fnUntraced(function* (member: DeadMember) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const { pair } = member
  const backlog = member.files.backlog ?? (yield* readFinal(member))
  if (backlog === null) return "nothing" satisfies News
  const { left } = yield* drain(member, backlog)
  if (left !== null) {
    fleet.change(pair, (known) => ({ ...known, files: { ...known.files, backlog: left } }))
    return "more" satisfies News
  }
  const exit = yield* withLastWords(member.life.exit, member.ref)
  const ended = yield* store.endIncarnation(pair.sessionId, pair.incarnation, exit, backlog.last)
  fleet.leave(pair)
  if (ended !== undefined && member.ref !== null) yield* afterEnd(ended, member.ref)
  return "news" satisfies News
})

/**
 * Null: not now. A pair that can't be read in the end quarantines its session: it stays the session's last incarnation, nothing wakes
 * and no try is spent. An operator's release has it read once more; what can't be read then is given up, and the release stands.
 */
const readFinal = Effect.fnUntraced(function* (member: DeadMember) {
  const mailbox = yield* Mailbox
  const store = yield* SessionStore
  const { files, life, pair } = member
  const session = yield* store.read((reader) => reader.session(pair.sessionId))
  if (life.finalReading === "given-up" && session?.status === "quarantined") return null
  const reading = yield* mailbox.read(pair, { seen: files.seen, mode: "final" }).pipe(
    crashable("mailbox.finalRead"),
    // Code that fails at these files is as good as files that are not what the host made: a release can end it.
    Effect.catchDefect((defect) =>
      Effect.fail(new Quarantined({ reason: defect instanceof Error ? defect.message : String(defect) })),
    ),
    Effect.catchTag(["Unreadable", "Quarantined"], (error) => unreadable(member, error)),
  )
  if (reading === null) return null
  const raw = inHostTime(life, reading)
  return { ...slicesOf(raw), raw, stamp: "", at: { now: 0, before: null } }
})

const unreadable = Effect.fnUntraced(function* (member: DeadMember, error: Unreadable | Quarantined) {
  const fleet = yield* Fleet
  const store = yield* SessionStore
  const { sessionId, incarnation } = member.pair
  if (error._tag === "Unreadable" && error.underWay === true) return null
  const why = error._tag === "Quarantined" ? error.reason : error.message
  // The files of another host's life stayed there when the ledger came here in a backup: nothing is to be waited for.
  if (member.life.finalReading === "given-up" || member.life.exit.manner === "elsewhere") {
    yield* Effect.logWarning(`the last rows of ${sessionId}, incarnation ${incarnation}, are lost: ${why}`)
    return { ...emptyReading, sessionState: yield* store.read((reader) => reader.sessionState(sessionId)) }
  }
  const now = yield* (yield* Clocks).now
  const life = unread(member.life, now)
  // A disk that is full or a host without descriptors is not the session's doing, and may be over in a moment.
  const waits =
    error._tag === "Unreadable" && now - Math.max(life.failedSince, life.ageOrigin) <= FINAL_PATIENCE_MS
  fleet.change(member.pair, (known) => ({
    ...known,
    life: waits ? life : { ...life, finalReading: "given-up" },
  }))
  if (waits) return null
  const reason = `its last files can't be read: ${why}`
  yield* Effect.logError(`session ${sessionId} is set aside: ${reason}`)
  yield* store.setStatus(sessionId, "quarantined", reason)
  yield* store.requestStop(sessionId, incarnation, "quarantine", why)
  return null
})

/** Every end that was not wanted keeps a log, whatever its exit code. */
const afterEnd = Effect.fnUntraced(function* (ended: Incarnation, ref: ContainerRef) {
  const runtime = yield* ContainerRuntime
  const workspace = yield* Workspace
  const isClean = isWanted(ended.reason) && ended.exitCode === 0
  if (!isClean || workspace.zeroExitLogs === "keep") yield* Effect.ignore(writeLog(ended, ref))
  yield* Effect.ignore(runtime.remove(ref).pipe(crashable("runtime.remove")))
})

const writeLog = Effect.fnUntraced(function* (ended: Incarnation, ref: ContainerRef) {
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
      text: output.text,
    })
    .pipe(crashable("workspace.writeExitLog"))
  yield* store.recordLog(ended.sessionId, ended.number, path)
})

/** Without the time and level at the start of our runner's lines, so that the same fault gives the same reason each time. */
const lastLineOf = (stderr: string): string | undefined =>
  stderr
    .trimEnd()
    .split("\n")
    .at(-1)
    ?.replace(/^\S+Z (?:error|warn|info) /, "")
    .replaceAll(/\p{Cc}+/gu, " ")
    .slice(0, MAX_LAST_WORDS)
    .trim()

/** The exit, with the runner's last line if there is one, because the exit code alone does not say what to do. Output that can't be read is ignored. */
const withLastWords = Effect.fnUntraced(function* (exit: ObservedExit, ref: ContainerRef | null) {
  if (ref === null || !TELLING_CODES.has(exit.exitCode)) return exit
  const output = yield* Effect.option((yield* ContainerRuntime).output(ref, LAST_WORDS_BYTES))
  const lastWords = output._tag === "Some" ? lastLineOf(output.value.stderr) : undefined
  return lastWords === undefined || lastWords === "" ? exit : { ...exit, lastWords }
})
