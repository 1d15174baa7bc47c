/** `session`: what conversations there are, how they stand, and an operator's hand on them. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { GroupId, SessionId } from "../domain/Ids.ts"
import { SessionStatus } from "../domain/Session.ts"
import type { SessionVerb } from "../services/operations/Requests.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { fields, instant, show, table } from "./Output.ts"
import { choice, formed, whether, given } from "./Flags.ts"
import { pageFlags } from "./PageFlags.ts"
import { jsonFlag } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(SessionId))

const list = Command.make(
  "list",
  {
    group: formed("group", GroupId, "Only this group's"),
    status: choice("status", SessionStatus.literals, "Only those that stand so"),
    ...pageFlags("the id of the last row of the page before"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const rows = yield* (yield* connectReading).sessions(
        given({ groupId: input.group, status: input.status, limit: input.limit, after: input.after }),
      )
      yield* show(input.json, rows, () =>
        table(
          ["id", "group", "key", "status", "live", "queued", "next look", "reason"],
          rows.map((row) => [
            row.id,
            row.groupId,
            row.key,
            row.status,
            row.live ? `incarnation ${row.incarnation}` : "-",
            String(row.queued),
            instant(row.wakeAt),
            row.statusReason ?? row.wakeError ?? "",
          ]),
        ),
      )
    }),
).pipe(Command.withDescription("List sessions, by id"))

const showSession = Command.make("show", { id, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const report = yield* (yield* connectReading).session({ id: input.id })
    yield* show(input.json, report, () => [
      ...fields(report.session),
      "",
      ...table(
        ["life", "phase", "spawned", "ended", "reason", "exit", "error"],
        report.incarnations.map((row) => [
          String(row.number),
          row.phase,
          instant(row.spawnedAt),
          instant(row.endedAt),
          row.reason ?? "-",
          row.oomKilled ? "out of memory" : (row.signal ?? String(row.exitCode ?? "unknown")),
          row.error ?? "",
        ]),
      ),
    ])
  }),
).pipe(Command.withDescription("Show one session and its last lives"))

const descriptions: Readonly<Record<SessionVerb, string>> = {
  stop: "Stop its container; what is due wakes the next",
  hold: "Stop its container and wake none until it is released",
  wake: "Start a container now, due work or not",
  release: "End a hold or a quarantine",
}

const control = Effect.fnUntraced(function* (
  what: SessionVerb,
  input: { readonly id: SessionId; readonly json: boolean; readonly force?: boolean },
) {
  const { force, id: session, json } = input
  const after = yield* (yield* connectDaemon).controlSession({
    id: session,
    what,
    ...(force === undefined ? {} : { force }),
  })
  yield* show(json, after, () => [
    what === "stop" && after.live
      ? `session ${session} is stopping its container`
      : `session ${session} is ${after.status}`,
  ])
})

const verb = (what: Exclude<SessionVerb, "wake">) =>
  Command.make(what, { id, json: jsonFlag }, (input) => control(what, input)).pipe(
    Command.withDescription(descriptions[what]),
  )

const force = whether("force", "Although as many containers run as the settings allow")

const wake = Command.make("wake", { id, force, json: jsonFlag }, (input) => control("wake", input)).pipe(
  Command.withDescription(descriptions.wake),
)

export const sessionCommand = Command.make("session").pipe(
  Command.withSubcommands([list, showSession, verb("stop"), verb("hold"), wake, verb("release")]),
)
