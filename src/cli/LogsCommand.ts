/**
 * `logs`: what a container said: the log of a life that ended, or the output of the one that runs. Without a session: which logs there
 * are.
 */
import { Console, Effect, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { SessionId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import { DEFAULT_PAGE } from "../services/operations/Requests.ts"
import { connectReading } from "./Connection.ts"
import { untilInterrupted } from "./Interruption.ts"
import { instant, print, show, table } from "./Output.ts"
import { counted, given, number, type Said, whether } from "./Flags.ts"
import { limitFlag } from "./Asking.ts"
import { attempt, dataDirectory, jsonFlag, refusal } from "./Root.ts"

const FOLLOW_EVERY_MS = 250
/** An exit log is capped by the daemon; this caps what a damaged one can do here. */
const MAX_LOG_BYTES = 64 * 1024 * 1024
/** Of the text seen last, to find the place where the new text goes on. */
const OVERLAP = 2_000

const flags = {
  session: Argument.String("session").pipe(
    Argument.withSchema(SessionId),
    Argument.withDescription("Whose container; without one, the logs that exits left are listed"),
    Argument.optional,
  ),
  incarnation: number("incarnation", "Which life; the last one if not said"),
  follow: whether("follow", "Go on with what the running container writes, until it ends"),
  tail: counted("tail", Schema.Int.check(Schema.isGreaterThan(0)), "Only the last so many lines"),
  limit: limitFlag,
  json: jsonFlag,
}

export const logsCommand = Command.make("logs", flags, (input) => {
  const { session, ...said } = given(input)
  if (session === undefined) return listLogs(said)
  if (!said.follow) return printLog(session, said)
  if (said.json) return Effect.fail(refusal("--follow prints what it sees; leave out --json"))
  return untilInterrupted(printLog(session, said))
})

type Wanted = Omit<Said<typeof flags>, "session">

const printLog = Effect.fnUntraced(function* (session: SessionId, input: Wanted) {
  const api = yield* connectReading
  const find = Effect.map(api.session({ id: session }), ({ incarnations }) =>
    input.incarnation === undefined
      ? incarnations[0]
      : incarnations.find(({ number }) => number === input.incarnation),
  )
  const life = yield* find
  if (life === undefined)
    return yield* refusal(
      `session ${session} has no such life; 'lamplighter session show ${session}' lists its last ones`,
    )
  if (life.phase === "ended") return yield* printEnded(life, input)
  let seen = ""
  while (true) {
    const output = yield* api.liveOutput({ id: session })
    if (output === null || output.incarnation !== life.number) break
    if (input.json) return yield* show(true, output, () => [])
    const lines = input.follow ? added(seen, output.text) : output.text
    if (lines !== "") yield* print(tail(lines, seen === "" ? input.tail : undefined))
    if (!input.follow) return
    seen = output.text
    yield* Effect.sleep(FOLLOW_EVERY_MS)
  }
  const end = yield* find
  if (end === undefined) return
  if (!input.follow) return yield* printEnded(end, input)
  yield* Console.error(ending(end))
})

/** The last lines; all of them where nothing is said. The last line break is left out. */
const tail = (text: string, lines = 0): string => text.replace(/\n$/, "").split("\n").slice(-lines).join("\n")

const listLogs = Effect.fnUntraced(function* ({ follow, incarnation, json, limit = DEFAULT_PAGE }: Wanted) {
  if (follow || incarnation !== undefined)
    return yield* refusal(
      "say whose container: lamplighter logs SESSION; 'lamplighter session list' shows the sessions",
    )
  const dataDir = yield* dataDirectory
  const logs = yield* attempt(`the logs in ${dataDir} can't be listed`, () => keptLogs(dataDir, limit))
  yield* show(json, logs, () =>
    table(logs, {
      at: (log) => instant(log.at),
      session: (log) => log.session,
      incarnation: (log) => String(log.incarnation),
      bytes: (log) => String(log.bytes),
      file: (log) => log.file,
    }),
  )
})

/**
 * The logs that exits left, newest first, at most `limit`: the files say all that the list shows. Those that go away meanwhile, because
 * retention took them, are left out.
 */
const keptLogs = (dataDir: string, limit: number) => {
  const root = path.join(dataDir, "logs")
  const found = entries(root).flatMap((session) =>
    entries(path.join(root, session)).flatMap((name) => {
      const incarnation = /-(\d+)\.log$/.exec(name)?.[1]
      const file = path.join(root, session, name)
      const stat = fs.statSync(file, { throwIfNoEntry: false })
      if (incarnation === undefined || stat === undefined) return []
      // A file was written when that life ended.
      const at = Math.floor(stat.mtimeMs)
      return [{ session, incarnation: Number(incarnation), at, bytes: stat.size, file }]
    }),
  )
  return found.sort((a, b) => b.at - a.at || b.incarnation - a.incarnation).slice(0, limit)
}

const entries = (directory: string): ReadonlyArray<string> => {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined
    if (code === "ENOENT" || code === "ENOTDIR") return []
    throw error
  }
}

const ending = (life: Incarnation): string =>
  `incarnation ${life.number} ended at ${instant(life.endedAt)}: ${life.reason ?? "unknown"}, exit code ${life.exitCode ?? "unknown"}`

const printEnded = Effect.fnUntraced(function* (life: Incarnation, { json, tail: lines }: Wanted) {
  const { logFile } = life
  if (logFile === null)
    return yield* refusal(`${ending(life)}; such an end keeps a log only with keepZeroExitLogs "keep"`)
  const text = yield* Effect.try({
    try: () => readCapped(logFile),
    catch: (error) =>
      refusal(`the log ${logFile} can't be read: ${String(error)}; retention may have removed it`),
  })
  if (json) return yield* show(true, { incarnation: life.number, logFile, text }, () => [])
  yield* print(tail(text, lines))
})

const readCapped = (file: string): string => {
  const { size } = fs.statSync(file)
  if (size > MAX_LOG_BYTES) throw new Error(`it has ${size} bytes`)
  return fs.readFileSync(file, "utf8")
}

/** What `now` holds beyond `before`. Both are the last bytes of one stream, so the beginning of `now` may be cut. */
const added = (before: string, now: string): string => {
  if (now.startsWith(before)) return now.slice(before.length)
  const tail = before.slice(-OVERLAP)
  const at = now.lastIndexOf(tail)
  return at < 0 ? now : now.slice(at + tail.length)
}
