/**
 * `logs`: what a container said: the log of a life that ended, or the output of the one that runs. Without a session: which logs there
 * are.
 */
import { Console, Effect, Option, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import * as fs from "node:fs"
import { SessionId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import { DEFAULT_PAGE } from "../services/operations/Requests.ts"
import { connectReading } from "./Connection.ts"
import { untilInterrupted } from "./Interruption.ts"
import { keptLogs } from "./KeptLogs.ts"
import { instant, print, show, table } from "./Output.ts"
import { counted, number, whether } from "./Flags.ts"
import { limitFlag } from "./Asking.ts"
import { CommandError, dataDirectory, jsonFlag } from "./Root.ts"

const FOLLOW_EVERY_MS = 250
/** An exit log is capped by the daemon; this caps what a damaged one can do here. */
const MAX_LOG_BYTES = 64 * 1024 * 1024
/** Of the text seen last, to find the place where the new text goes on. */
const OVERLAP = 2_000

export const logsCommand = Command.make(
  "logs",
  {
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
  },
  (input) =>
    Effect.gen(function* () {
      if (Option.isNone(input.session)) return yield* listLogs(input)
      const wanted = { ...input, session: input.session.value }
      if (!input.follow) return yield* printLog(wanted)
      if (input.json) {
        return yield* new CommandError({ message: "--follow prints what it sees; leave out --json" })
      }
      return yield* untilInterrupted(printLog(wanted))
    }),
).pipe(Command.withDescription("Print what a session's container wrote"))

interface Wanted {
  readonly session: SessionId
  readonly incarnation: Option.Option<number>
  readonly follow: boolean
  readonly tail: Option.Option<number>
  readonly json: boolean
}

const printLog = Effect.fnUntraced(function* (input: Wanted) {
  const api = yield* connectReading
  const find = Effect.map(api.session({ id: input.session }), ({ incarnations }) =>
    Option.isSome(input.incarnation)
      ? incarnations.find(({ number }) => number === Option.getOrUndefined(input.incarnation))
      : incarnations[0],
  )
  const life = yield* find
  if (life === undefined) {
    return yield* new CommandError({
      message: `session ${input.session} has no such life; 'lamplighter session show ${input.session}' lists its last ones`,
    })
  }
  if (life.phase === "ended") return yield* printEnded(life, input)
  let seen = ""
  while (true) {
    const output = yield* api.liveOutput({ id: input.session })
    if (output === null || output.incarnation !== life.number) break
    if (input.json) return yield* show(true, output, () => [])
    const lines = input.follow ? added(seen, output.text) : output.text
    if (lines !== "") yield* print(tail(lines, seen === "" ? input.tail : Option.none()))
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
const tail = (text: string, lines: Option.Option<number>): string =>
  text
    .replace(/\n$/, "")
    .split("\n")
    .slice(-Option.getOrElse(lines, () => 0))
    .join("\n")

const listLogs = Effect.fnUntraced(function* (input: {
  readonly limit: Option.Option<number>
  readonly follow: boolean
  readonly incarnation: Option.Option<number>
  readonly json: boolean
}) {
  if (input.follow || Option.isSome(input.incarnation)) {
    return yield* new CommandError({
      message: "say whose container: lamplighter logs SESSION; 'lamplighter session list' shows the sessions",
    })
  }
  const dataDir = yield* dataDirectory
  const logs = yield* Effect.try({
    try: () =>
      keptLogs(
        dataDir,
        Option.getOrElse(input.limit, () => DEFAULT_PAGE),
      ),
    catch: (error) =>
      new CommandError({ message: `the logs in ${dataDir} can't be listed: ${String(error)}` }),
  })
  yield* show(input.json, logs, () =>
    table(logs, {
      at: (log) => instant(log.at),
      session: (log) => log.session,
      incarnation: (log) => String(log.incarnation),
      bytes: (log) => String(log.bytes),
      file: (log) => log.file,
    }),
  )
})

const ending = (life: Incarnation): string =>
  `incarnation ${life.number} ended at ${instant(life.endedAt)}: ${life.reason ?? "unknown"}, exit code ${life.exitCode ?? "unknown"}`

const printEnded = Effect.fnUntraced(function* (life: Incarnation, { json, tail: lines }: Wanted) {
  const { logFile } = life
  if (logFile === null) {
    return yield* new CommandError({
      message: `${ending(life)}; such an end keeps a log only with keepZeroExitLogs "keep"`,
    })
  }
  const text = yield* Effect.try({
    try: () => readCapped(logFile),
    catch: (error) =>
      new CommandError({
        message: `the log ${logFile} can't be read: ${String(error)}; retention may have removed it`,
      }),
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
