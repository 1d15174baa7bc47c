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

const MARKS: Readonly<Record<TerminalState, string>> = {
  completed: "✓",
  skipped: "·",
  failed: "✕",
  cancelled: "−",
  expired: "⌛",
}

const WIDTH = 1_000
const LANE = 34
const NAMES = 130
const TOP = 64
const MARGIN = 16
/** Between two labels of the time axis, at least this many. */
const TICK_WIDTH = 80
const TICKS_MS = [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800].map(
  (seconds) => seconds * 1_000,
)

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

const clock = (ms: number): string => {
  const seconds = Math.round(ms / 1_000)
  const two = (n: number): string => String(n).padStart(2, "0")
  return `${two(Math.floor(seconds / 3_600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}

export const drawScenario = (report: ScenarioReport): string => {
  const { lanes, lastsMs, scenario, startedAt } = report
  const span = WIDTH - NAMES - 2 * MARGIN
  const x = (at: number): number =>
    Math.round((MARGIN + NAMES + ((at - startedAt) / Math.max(1, lastsMs)) * span) * 100) / 100
  const height = TOP + lanes.length * LANE + 52
  const out: Array<string> = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${escaped(scenario.name)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${MARGIN}" y="24" font-size="16" font-weight="bold">${escaped(scenario.name)}</text>`,
  ]
  let legend = MARGIN
  for (const state of SHOWN) {
    out.push(`<rect x="${legend}" y="36" width="12" height="12" fill="${COLOURS[state]}"/>`)
    out.push(`<text x="${legend + 16}" y="46">${state}</text>`)
    legend += 32 + state.length * 8
  }
  out.push(`<text x="${legend + 8}" y="46">✓ completed   ✕ failed   − cancelled   ⌛ expired</text>`)
  for (const [index, lane] of lanes.entries()) {
    const y = TOP + index * LANE
    out.push(`<text x="${MARGIN}" y="${y + 17}">${escaped(lane.session)}</text>`)
    for (const { from, state, to } of lane.spans) {
      const width = Math.max(0.5, Math.round((x(to) - x(from)) * 100) / 100)
      out.push(
        `<rect x="${x(from)}" y="${y + 4}" width="${width}" height="18" fill="${COLOURS[state]}"><title>${state} ${clock(from - startedAt)} to ${clock(to - startedAt)}</title></rect>`,
      )
    }
    for (const { at, messageId, state } of lane.marks) {
      out.push(
        `<text x="${x(at)}" y="${y + 33}" font-size="10" text-anchor="middle"${state === "failed" ? ' fill="#c62828" font-weight="bold"' : ""}>${MARKS[state]}<title>${escaped(messageId)} ${state} at ${clock(at - startedAt)}</title></text>`,
      )
    }
  }
  const floor = TOP + lanes.length * LANE + 8
  const tick = TICKS_MS.find((ms) => (ms / lastsMs) * span >= TICK_WIDTH) ?? lastsMs
  for (let at = 0; at <= lastsMs; at += tick) {
    out.push(
      `<line x1="${x(startedAt + at)}" y1="${TOP}" x2="${x(startedAt + at)}" y2="${floor}" stroke="#b0bec5" stroke-width="0.5"/>`,
    )
    out.push(`<text x="${x(startedAt + at)}" y="${floor + 16}" text-anchor="middle">${clock(at)}</text>`)
  }
  out.push("</svg>", "")
  return out.join("\n")
}
