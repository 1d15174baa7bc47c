/** `logs`: what a container said: the log of a life that ended, or the output of the one that runs. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as fs from "node:fs"
import { SessionId } from "../domain/Ids.ts"
import type { Incarnation } from "../domain/Incarnation.ts"
import { connectReading } from "./Connection.ts"
import { instant, show } from "./Output.ts"
import { CommandError, jsonFlag } from "./Root.ts"

const FOLLOW_EVERY_MS = 250
/** An exit log is capped by the daemon; this caps what a damaged one can do here. */
const MAX_LOG_BYTES = 64 * 1024 * 1024
/** Of the text seen last, to find the place where the new text goes on. */
const OVERLAP = 2_000

export const logsCommand = Command.make(
  "logs",
  {
    session: Argument.String("session").pipe(Argument.withSchema(SessionId)),
    incarnation: Flag.Int("incarnation").pipe(
      Flag.withDescription("Which life; the last one if not said"),
      Flag.optional,
    ),
    follow: Flag.Boolean("follow").pipe(
      Flag.withDescription("Go on with what the running container writes, until it ends"),
      Flag.withDefault(false),
    ),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const api = yield* connectReading
      const find = Effect.map(api.session({ params: { id: input.session } }), ({ incarnations }) =>
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
      if (life.phase === "ended") return yield* printEnded(life, input.json)
      let seen = { stdout: "", stderr: "" }
      while (true) {
        const output = yield* api.liveOutput({ params: { id: input.session } })
        if (output === null || output.incarnation !== life.number) break
        if (input.json && !input.follow) return yield* show(true, output, () => [])
        process.stdout.write(added(seen.stdout, output.stdout))
        process.stderr.write(added(seen.stderr, output.stderr))
        if (!input.follow) return
        seen = output
        yield* Effect.sleep(FOLLOW_EVERY_MS)
      }
      const end = yield* find
      if (end !== undefined) yield* Effect.sync(() => process.stderr.write(`${ending(end)}\n`))
    }),
).pipe(Command.withDescription("Print what a session's container wrote"))

const ending = (life: Incarnation): string =>
  `incarnation ${life.number} ended at ${instant(life.endedAt)}: ${life.reason ?? "unknown"}, exit code ${life.exitCode ?? "unknown"}`

const printEnded = Effect.fnUntraced(function* (life: Incarnation, asJson: boolean) {
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
  yield* show(asJson, { incarnation: life.number, logFile, text }, () => [text.trimEnd()])
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
