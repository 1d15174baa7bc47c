/** A scenario as text: what happened, line by line, and what became of each message and session. */
import { formatDuration } from "../layers/configuration/QuantityText.ts"
import { clock } from "./ScenarioPicture.ts"
import type { ScenarioReport } from "./ScenarioRun.ts"

/** Events that a person reading a timeline wants to see; acceptance and delivery come in such numbers that they hide the rest. */
const QUIET: ReadonlySet<string> = new Set(["accepted", "delivered", "admitted"])
/** Lines of events beyond which only the first and the last are shown. */
const MAX_EVENTS = 400

const align = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  )
}

const shortened = <A>(rows: ReadonlyArray<A>, middle: A): ReadonlyArray<A> =>
  rows.length <= MAX_EVENTS
    ? rows
    : [...rows.slice(0, MAX_EVENTS / 2), middle, ...rows.slice(rows.length - MAX_EVENTS / 2)]

export const tabulateScenario = (report: ScenarioReport): ReadonlyArray<string> => {
  const { events, lanes, lastsMs, lives, messages, scenario, startedAt } = report
  const shown = events.filter(({ type }) => !QUIET.has(type))
  const eventRows = shown.map(({ at, messageId, sessionId, text, type }) => [
    clock(at - startedAt),
    sessionId ?? "-",
    type,
    messageId ?? "-",
    text.replaceAll(/\p{Cc}+/gu, " "),
  ])
  const messageRows = messages.map((message) => [
    message.id,
    message.sessionId,
    message.state,
    String(message.tries),
    String(message.attempts),
    message.endedAt === null ? "-" : clock(message.endedAt - startedAt),
    message.error ?? "",
  ])
  const sessionRows = lanes.map(({ session, spans }) => {
    const share = new Map<string, number>()
    for (const { from, state, to } of spans) share.set(state, (share.get(state) ?? 0) + to - from)
    const life = lives.get(session)
    const endings = [...(life?.reasons ?? [])].map(([reason, count]) => `${count} ${reason}`).join(", ")
    const time = [...share].map(([state, ms]) => `${state} ${Math.round((100 * ms) / lastsMs)}%`).join(", ")
    return [session, String(life?.count ?? 0), endings === "" ? "-" : endings, time]
  })
  return [
    `${scenario.name} (${formatDuration(lastsMs)} from ${new Date(startedAt).toISOString()})`,
    ...(scenario.about === undefined ? [] : [scenario.about]),
    "",
    ...align([
      ["time", "session", "event", "message", "what"],
      ...shortened(eventRows, ["…", "", "", "", `${shown.length - MAX_EVENTS} events are left out`]),
    ]),
    "",
    ...align([
      ["message", "session", "state", "tries", "attempts", "ended", "error"],
      ...shortened(messageRows, ["…", "", "", "", "", "", ""]),
    ]),
    "",
    ...align([["session", "lives", "ended by", "its time"], ...sessionRows]),
    ...(report.disappointments.length === 0
      ? []
      : ["", ...report.disappointments.map((line) => `NOT AS EXPECTED: ${line}`)]),
  ]
}
