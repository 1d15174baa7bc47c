/** Schedules without the daemon: what people write, what is stored, and when it fires. Pure functions of values: `now` is an argument. */
import { Result } from "effect"
import { describeSchedule, formatSchedule, formatZoned, parseSchedule, preview } from "lamplighter/domain"

const zone = "America/New_York"
const now = Date.parse("2026-03-07T12:00:00Z")

for (const text of ["every weekday at nine", "0 9 * * 1-5", "30 2 * * *", "every 90m", "0 0 30 2 *"]) {
  const schedule = Result.getOrElse(parseSchedule(text, { zone, now }), (error) => error)
  if (schedule._tag === "ScheduleError") {
    console.log(`refused: ${schedule.message}`)
    continue
  }
  console.log(`${text}: ${describeSchedule(schedule)}; stored as ${formatSchedule(schedule)}`)
  // At half past two there is no 8 March in New York: the clocks go forward at two.
  for (const slot of preview(schedule, now, 3)) console.log(`  ${formatZoned(slot, zone)}`)
}
