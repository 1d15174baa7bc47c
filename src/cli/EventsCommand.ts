/** `events`: the timeline, what happened in order, also as it happens. */
import { Clock, Effect, Result, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { parseDuration } from "../domain/DurationText.ts"
import { SessionId } from "../domain/Ids.ts"
import { MAX_PAGE } from "../services/operations/Requests.ts"
import type { LedgerEvent } from "../domain/LedgerEvent.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { untilInterrupted } from "./Interruption.ts"
import { instant, oneLine, print, show, table } from "./Output.ts"
import { formed, given, number, text, whether } from "./Flags.ts"
import { limitFlag } from "./Asking.ts"
import { jsonFlag, refusal } from "./Root.ts"
import { instantOf } from "./FlagTexts.ts"

const FOLLOW_EVERY_MS = 250

const columns = {
  at: (row: LedgerEvent) => instant(row.at),
  event: (row: LedgerEvent) => row.type,
  session: (row: LedgerEvent) => row.sessionId ?? "-",
  message: (row: LedgerEvent) => row.messageId ?? "-",
  what: (row: LedgerEvent) => row.text,
}

const line = (row: LedgerEvent): string =>
  Object.values(columns)
    .map((column) => oneLine(column(row)))
    .join("  ")

/** Of an instant, or of a length of time that leads back from now. */
const sinceOf = Effect.fnUntraced(function* (text: string) {
  const length = parseDuration(text)
  if (Result.isSuccess(length)) return (yield* Clock.currentTimeMillis) - length.success
  const unit = /^\d+$/.test(text) ? `; or is it a length of time, ${text}s?` : ", or 2h for so long ago"
  return yield* Effect.mapError(instantOf("since", text), ({ message }) => refusal(message + unit))
})

/** The last `count` events, or those since an instant, oldest first. The ledger keeps a limited number of them. */
const lastOf = Effect.fnUntraced(function* <E, R>(
  page: (after: number | undefined) => Effect.Effect<ReadonlyArray<LedgerEvent>, E, R>,
  count: number,
  since: number,
) {
  const found: Array<LedgerEvent> = []
  while (found.length < count) {
    const rows = yield* page(found.at(-1)?.position)
    found.push(...rows.filter(({ at }) => at >= since))
    if (rows.length < MAX_PAGE || (rows.at(-1)?.at ?? 0) < since) break
  }
  return found.slice(0, count).toReversed()
})

export const eventsCommand = Command.make(
  "events",
  {
    session: formed("session", SessionId, "Only this session's"),
    follow: whether(
      "follow",
      "Go on with what happens next, until interrupted; with --json one object a line",
    ),
    since: text("since", "From this instant on, or so long ago, e.g. 2026-12-01T09:00:00Z or 2h"),
    all: whether("all", "From the beginning on"),
    tail: Flag.Int("tail").pipe(
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: MAX_PAGE }))),
      Flag.withDescription("Only the last so many; 50 where nothing is said"),
      Flag.withDefault(50),
    ),
    limit: limitFlag,
    after: number("after", "Start after this position"),
    json: jsonFlag,
  },
  Effect.fnUntraced(function* (input) {
    const { after: position, all, follow, json, limit, session: sessionId, since: text, tail } = given(input)
    const api = yield* follow ? connectDaemon : connectReading
    const since = text === undefined ? 0 : yield* sinceOf(text)
    const wanted = all || since > 0 ? Infinity : tail
    const first =
      position === undefined && limit === undefined
        ? yield* lastOf(
            (after) =>
              api.events({ sessionId, after, limit: Math.min(wanted, MAX_PAGE), order: "newest-first" }),
            wanted,
            since,
          )
        : yield* api.events({ sessionId, limit, after: position ?? 0 })
    if (!follow) return yield* show(json, first, () => table(first, columns))
    const tell = (rows: ReadonlyArray<LedgerEvent>) =>
      Effect.forEach(rows, (row) => print(json ? JSON.stringify(row) : line(row)), { discard: true })
    const goOn = Effect.gen(function* () {
      yield* tell(first)
      let after = first.at(-1)?.position ?? position ?? 0
      while (true) {
        const rows = yield* api.events({ sessionId, limit, after })
        yield* tell(rows)
        after = rows.at(-1)?.position ?? after
        if (rows.length === 0) yield* Effect.sleep(FOLLOW_EVERY_MS)
      }
    })
    return yield* untilInterrupted(goOn)
  }),
)
