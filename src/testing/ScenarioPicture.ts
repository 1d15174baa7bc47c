/** A scenario as a picture: one lane per session, coloured by what it was doing, with a mark where a message ended. Plain SVG. */
import type { TerminalState } from "../domain/Message.ts"
import type { LaneState } from "./ScenarioLanes.ts"
import type { ScenarioReport } from "./ScenarioRun.ts"

const COLOURS: Readonly<Record<LaneState, string>> = {
  asleep: "#eceff1",
  waiting: "#ffd54f",
  running: "#66bb6a",
  ready: "#c8e6c9",
  stuck: "#ef5350",
  backoff: "#90caf9",
  dead: "#757575",
}
const SHOWN: ReadonlyArray<LaneState> = ["waiting", "running", "ready", "stuck", "backoff", "dead", "asleep"]

/** Drawn around the origin, so that no font is needed: a tick, a ring, a cross, a dash, an hourglass. */
const MARKS: Readonly<Record<TerminalState, string>> = {
  completed: "M-4,0 L-1,3 L4,-3",
  skipped: "M-1.5,0 A1.5,1.5 0 1 0 1.5,0 A1.5,1.5 0 1 0 -1.5,0",
  failed: "M-3,-3 L3,3 M3,-3 L-3,3",
  cancelled: "M-4,0 L4,0",
  expired: "M-3,-4 L3,-4 L-3,4 L3,4 Z",
}
const MARKED: ReadonlyArray<TerminalState> = ["completed", "failed", "cancelled", "expired", "skipped"]

const WIDTH = 1_000
const LANE = 34
const TOP = 64
const MARGIN = 16
/** Words and names are not wider than this per letter in any of the common sans-serif faces. */
const LETTER = 7.5
/** Between two labels of the time axis, at least this many. */
const TICK_WIDTH = 80
const TICKS_MS = [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800].map(
  (seconds) => seconds * 1_000,
)
const LONGEST_NAME = 40

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

const round = (value: number): number => Math.round(value * 100) / 100

/** `03:04:05` after the beginning. */
export const clock = (ms: number): string => {
  const seconds = Math.round(ms / 1_000)
  const two = (n: number): string => String(n).padStart(2, "0")
  return `${two(Math.floor(seconds / 3_600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}

const widthOf = (text: string): number => text.length * LETTER

const label = (x: number, y: number, text: string, anchor: "start" | "middle" = "start"): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped(text)}</text>`

const mark = (x: number, y: number, state: TerminalState, title: string): string =>
  `<path d="${MARKS[state]}" transform="translate(${x},${y})" fill="none" stroke="${state === "failed" ? "#c62828" : "#263238"}" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"><title>${escaped(title)}</title></path>`

/** The colours and the marks, one after the other. */
const legend = (): ReadonlyArray<string> => {
  const out: Array<string> = []
  let x = MARGIN
  for (const state of SHOWN) {
    out.push(`<rect x="${x}" y="36" width="12" height="12" fill="${COLOURS[state]}"/>`)
    out.push(label(x + 16, 46, state))
    x += 28 + widthOf(state)
  }
  for (const state of MARKED) {
    out.push(mark(x + 6, 42, state, state), label(x + 16, 46, state))
    x += 28 + widthOf(state)
  }
  return out
}

export const drawScenario = (report: ScenarioReport): string => {
  const { lanes, lastsMs, scenario, startedAt } = report
  const shown = lanes.map(({ session }) =>
    session.length > LONGEST_NAME ? `${session.slice(0, LONGEST_NAME - 1)}…` : session,
  )
  const left = MARGIN + Math.max(0, ...shown.map(widthOf)) + MARGIN
  // The last label stands in the middle under its line: half of it is right of the lanes.
  const span = WIDTH - left - MARGIN - widthOf(clock(lastsMs)) / 2
  const x = (at: number): number => round(left + ((at - startedAt) / Math.max(1, lastsMs)) * span)
  const floor = TOP + lanes.length * LANE + 8
  const height = floor + 44
  const out: Array<string> = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${escaped(scenario.name)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${MARGIN}" y="24" font-size="16" font-weight="bold">${escaped(scenario.name)}</text>`,
    ...legend(),
  ]
  for (const [index, lane] of lanes.entries()) {
    const y = TOP + index * LANE
    out.push(label(MARGIN, y + 17, shown[index] ?? ""))
    for (const { from, state, to } of lane.spans) {
      const width = Math.max(0.5, round(x(to) - x(from)))
      out.push(
        `<rect x="${x(from)}" y="${y + 4}" width="${width}" height="18" fill="${COLOURS[state]}"><title>${state} ${clock(from - startedAt)} to ${clock(to - startedAt)}</title></rect>`,
      )
    }
    for (const { at, messageId, state } of lane.marks)
      out.push(mark(x(at), y + 29, state, `${messageId} ${state} at ${clock(at - startedAt)}`))
  }
  const tick = TICKS_MS.find((ms) => (ms / lastsMs) * span >= TICK_WIDTH) ?? lastsMs
  for (let at = 0; at <= lastsMs; at += tick) {
    const across = x(startedAt + at)
    out.push(
      `<line x1="${across}" y1="${TOP}" x2="${across}" y2="${floor}" stroke="#b0bec5" stroke-width="0.5"/>`,
      label(across, floor + 16, clock(at), "middle"),
    )
  }
  out.push("</svg>", "")
  return out.join("\n")
}
