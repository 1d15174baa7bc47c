/** `session`: what conversations there are, how they stand, and an operator's hand on them. */
import { Argument } from "effect/cli"
import { GroupId, SessionId } from "../domain/Ids.ts"
import { SessionStatus } from "../domain/Session.ts"
import type { SessionVerb } from "../services/operations/Requests.ts"
import { changing, pageFlags, reading } from "./Asking.ts"
import { choice, formed, whether } from "./Flags.ts"
import { fields, instant, table } from "./Output.ts"
import { family } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(SessionId))

const list = reading(
  (api) => api.sessions,
  "list",
  "List sessions, by id",
  {
    groupId: formed("group", GroupId, "Only this group's"),
    status: choice("status", SessionStatus.literals, "Only those that stand so"),
    ...pageFlags,
  },
  (rows) =>
    table(rows, {
      id: (row) => row.id,
      group: (row) => row.groupId,
      key: (row) => row.key,
      status: (row) => row.status,
      live: (row) => (row.live ? `incarnation ${row.incarnation}` : "-"),
      queued: (row) => String(row.queued),
      "next look": (row) => instant(row.wakeAt),
      reason: (row) => row.statusReason ?? row.wakeError ?? "",
    }),
)

const showSession = reading(
  (api) => api.session,
  "show",
  "Show one session and its last lives",
  { id },
  (report) => [
    ...fields(report.session),
    "",
    ...table(report.incarnations, {
      life: (row) => String(row.number),
      phase: (row) => row.phase,
      spawned: (row) => instant(row.spawnedAt),
      ended: (row) => instant(row.endedAt),
      reason: (row) => row.reason ?? "-",
      exit: (row) => (row.oomKilled ? "out of memory" : (row.signal ?? String(row.exitCode ?? "unknown"))),
      error: (row) => row.error ?? "",
    }),
  ],
)

const control = (what: Exclude<SessionVerb, "wake">, says: string) =>
  changing(
    (api) => (said) => api.controlSession({ ...said, what }),
    what,
    says,
    { id },
    (after) => [
      what === "stop" && after.live
        ? `session ${after.id} is stopping its container`
        : `session ${after.id} is ${after.status}`,
    ],
  )

const wake = changing(
  (api) => (said) => api.controlSession({ ...said, what: "wake" }),
  "wake",
  "Start a container now, due work or not",
  { id, force: whether("force", "Although as many containers run as the settings allow") },
  (after) => [`session ${after.id} is ${after.status}`],
)

export const sessionCommand = family("session", [
  list,
  showSession,
  control("stop", "Stop its container; what is due wakes the next"),
  control("hold", "Stop its container and wake none until it is released"),
  wake,
  control("release", "End a hold or a quarantine"),
])
