/** `events`: the timeline, what happened in order, also as it happens. */
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { SessionId } from "../domain/Ids.ts"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { untilInterrupted } from "./Interruption.ts"
import { instant, oneLine, show, table } from "./Output.ts"
import { positionFlags } from "./PageFlags.ts"
import { jsonFlag } from "./Root.ts"

const FOLLOW_EVERY_MS = 250

const lines = (rows: ReadonlyArray<LedgerEvent>) =>
  table(
    ["at", "event", "session", "message", "what"],
    rows.map((row) => [instant(row.at), row.type, row.sessionId ?? "-", row.messageId ?? "-", row.text]),
  )

const line = (row: LedgerEvent): string =>
  [instant(row.at), row.type, row.sessionId ?? "-", row.messageId ?? "-", row.text].map(oneLine).join("  ")

export const eventsCommand = Command.make(
  "events",
  {
    session: Flag.String("session").pipe(Flag.withSchema(SessionId), Flag.optional),
    follow: Flag.Boolean("follow").pipe(
      Flag.withDescription("Go on with what happens next, until interrupted; with --json one object a line"),
      Flag.withDefault(false),
    ),
    ...positionFlags("this position"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const api = yield* input.follow ? connectDaemon : connectReading
      const sessionId = Option.getOrUndefined(input.session)
      const limit = Option.getOrUndefined(input.limit)
      let after = Option.getOrElse(input.after, () => 0)
      if (!input.follow) {
        const rows = yield* api.events({ sessionId, limit, after })
        return yield* show(input.json, rows, () => lines(rows))
      }
      return yield* untilInterrupted(
        Effect.gen(function* () {
          while (true) {
            const rows = yield* api.events({ sessionId, limit, after })
            after = rows.at(-1)?.position ?? after
            for (const row of rows) yield* Console.log(input.json ? JSON.stringify(row) : line(row))
            if (rows.length === 0) yield* Effect.sleep(FOLLOW_EVERY_MS)
          }
        }),
      )
    }),
)
