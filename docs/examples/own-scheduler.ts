/**
 * Catch-up and overlap without the daemon: a program of its own keeps its series wherever it likes, asks what to do about the slots
 * that have come, and does it. A decision is data; this one prints it.
 */
import { Result } from "effect"
import {
  decideSlots,
  defaultSeriesPolicy,
  nextSlotOf,
  parseSchedule,
  SeriesId,
  type SlotSeries,
  unbounded,
} from "lamplighter/domain"

const begin = Date.parse("2026-12-01T08:00:00Z")
const zone = "UTC"
const schedule = Result.getOrThrow(parseSchedule("0 * * * *", { zone, now: begin }))
const bounds = { ...unbounded, exclusions: ["2026-12-25"] }

/** The row that the program keeps, and writes after each decision. */
let series: SlotSeries = {
  id: SeriesId.make("report"),
  status: "active",
  schedule,
  zone,
  bounds,
  policy: { ...defaultSeriesPolicy, catchUpWindowMs: 6 * 3_600_000, catchUpCap: 3 },
  overlap: "buffer-one",
  catchUp: "all",
  nextSlot: nextSlotOf({ schedule, zone, bounds }, begin),
  lastSlot: null,
  fired: 0,
  createdAt: begin,
}

const time = (instant: number) => new Date(instant).toISOString().slice(5, 16)

const look = (at: string, open: { readonly running: number; readonly buffered: number }) => {
  const decision = decideSlots(series, Date.parse(at), open)
  if (decision._tag === "NotDue") return console.log(`${at}: nothing is due`)
  console.log(`${at}: ${open.running} runs, ${open.buffered} wait`)
  const { fates, lastSlot, missed, nextSlot } = decision
  if (missed !== null) console.log(`  missed: ${missed.count}, ${time(missed.first)} to ${time(missed.last)}`)
  for (const fate of fates) console.log(`  ${fate._tag} ${time(fate.slot)}`)
  const fired = series.fired + fates.filter(({ _tag }) => _tag !== "Skip").length
  series = { ...series, lastSlot, nextSlot, fired, status: nextSlot === null ? "completed" : "active" }
  console.log(`  next: ${nextSlot === null ? "-" : time(nextSlot)}`)
}

look("2026-12-01T08:30:00Z", { running: 0, buffered: 0 })
look("2026-12-01T09:00:00Z", { running: 0, buffered: 0 })
// The run of nine o'clock takes two hours: the first slot waits for it, the second is skipped.
look("2026-12-01T10:00:00Z", { running: 1, buffered: 0 })
look("2026-12-01T11:00:00Z", { running: 1, buffered: 1 })
// The program was down for a day. Of the six hours that the window holds, the cap leaves three slots.
look("2026-12-02T11:30:00Z", { running: 0, buffered: 0 })
// 25 December is excluded: after its last slot before that day comes the first of the 26th.
series = { ...series, nextSlot: Date.parse("2026-12-24T23:00:00Z") }
look("2026-12-24T23:00:00Z", { running: 0, buffered: 0 })
