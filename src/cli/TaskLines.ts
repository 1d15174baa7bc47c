/** How a task is shown to people: its schedule in words, what differs from the defaults, and its last runs as a line of marks. */
import { formatZoned } from "../domain/ExchangeTime.ts"
import { PRIORITIES } from "../domain/Message.ts"
import type { Run } from "../domain/Run.ts"
import { defaultSeriesPolicy, type Series, unbounded } from "../domain/Series.ts"
import type { TaskReport } from "../services/operations/Requests.ts"
import { instant } from "./Output.ts"

/** A task as programs see it: with its schedule in words and its next instants, because nobody should have to wait for the first run. */
export const echoed = ({ next, task, words }: TaskReport) => ({ ...task, words, next })
type Echoed = ReturnType<typeof echoed>

/** The same for people. */
export const echo = (task: Echoed): ReadonlyArray<string> => [
  `task ${task.id} is ${task.status}: ${scheduleLine(task)}`,
  nextLine(task),
]

/** A cron schedule names its zone in its words. */
export const scheduleLine = ({ schedule, words, zone }: Echoed): string =>
  schedule._tag === "Cron" ? words : `${words}, zone ${zone}`

/** In UTC, and beside it as the clocks of the task's zone show it. */
export const nextLine = ({ next, zone }: Echoed): string =>
  `next: ${next.map((slot) => localInstant(slot, zone)).join(", ") || "-"}`

export const localInstant = (slot: number, zone: string): string =>
  zone === "UTC" ? instant(slot) : `${instant(slot)} (${formatZoned(slot, zone).replace(/\[.*$/, "")})`

const defaults: Readonly<Record<string, unknown>> = {
  ...unbounded,
  ...defaultSeriesPolicy,
  ttlMs: null,
  priority: PRIORITIES.normal,
}

/** What the task says that is not the default, one a line. */
export const settingLines = ({ bounds, policy, priority, ttlMs }: Series): ReadonlyArray<string> =>
  Object.entries({ priority, ttlMs, ...bounds, ...policy })
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(defaults[name]))
    .map(([name, value]) => `${name}: ${settingText(name, value)}`)

const settingText = (name: string, value: unknown): string => {
  if (typeof value === "string") return value
  return name.endsWith("At") && typeof value === "number" ? instant(value) : JSON.stringify(value)
}

export const statisticsLines = (figures: TaskReport["statistics"]): ReadonlyArray<string> =>
  figures.runs === 0
    ? []
    : [
        `succeeded: ${figures.completed} of ${figures.completed + figures.failed}; not run: ${figures.notRun}`,
        `duration: ${spread(figures.durationMs)}; late: ${spread(figures.latenessMs)}`,
      ]

const spread = (figures: TaskReport["statistics"]["durationMs"]): string =>
  figures === null ? "-" : `p50 ${figures.p50} ms, p99 ${figures.p99} ms`

/** The last runs as a line of marks, oldest first, so that a pattern shows at a glance. */
export const marks: Readonly<Record<Run["outcome"], string>> = {
  completed: "✓",
  failed: "✗",
  skipped: "·",
  cancelled: "c",
  expired: "e",
  overlap: "o",
  missed: "m",
  paused: "p",
}
