/** What the texts of a request about a series mean, in its session and at the instant of the transaction. */
import { Result } from "effect"
import { parseExchangeTime } from "../../domain/ExchangeTime.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import { parseSchedule } from "../../domain/Recurrence.ts"
import type { Schedule } from "../../domain/Series.ts"
import { describeProblem } from "../../domain/TextProblem.ts"
import { parseZone } from "../../domain/Zone.ts"
import { Invalid, invalid } from "./Refusals.ts"
import type { SessionUnit } from "./SessionUnit.ts"

/** A schedule as it is asked for: any form of it, and the instant of its first run. With neither it is now, once. */
export interface PlanText {
  readonly recurrence: string | null
  /** Exchange text; without a zone it is UTC. */
  readonly processAfter?: string | null | undefined
}

/** A schedule, and the instant of its first slot where that was asked for: it need not lie on the grid. */
export interface Planned {
  readonly schedule: Schedule
  readonly firstAt: EpochMs | null
}

/**
 * Reads a plan. An interval is anchored at its first run: the instant asked for, else the start of the series, else now. All readings
 * are of one `now`, so that the anchor and the first slot can't be two instants.
 */
export const readPlan = (
  unit: SessionUnit,
  { processAfter = null, recurrence }: PlanText,
  zone: string,
  startAt: EpochMs | null,
): Result.Result<Planned, Invalid> => {
  const { now } = unit.context
  const firstAt = processAfter === null ? Result.succeed(null) : readInstant("processAfter", processAfter)
  return Result.flatMap(firstAt, (at): Result.Result<Planned, Invalid> => {
    if (recurrence === null)
      return Result.succeed({ schedule: { _tag: "Once", at: at ?? now }, firstAt: null })
    const read = parseSchedule(recurrence, { zone, now: at ?? now })
    if (Result.isFailure(read)) return invalid("recurrence", read.failure.message)
    const schedule = read.success
    if (schedule._tag === "Once") return Result.succeed({ schedule, firstAt: null })
    const anchor = at ?? Math.max(now, startAt ?? now)
    return Result.succeed({
      schedule: schedule._tag === "Interval" ? { ...schedule, anchor } : schedule,
      firstAt: at,
    })
  })
}

export const readInstant = (field: string, text: string): Result.Result<EpochMs, Invalid> => {
  const parsed = parseExchangeTime(text)
  return Result.isSuccess(parsed)
    ? Result.succeed(parsed.success.at)
    : invalid(field, `'${text}' is not an instant; write it as 2026-12-01T09:00:00Z`)
}

/** A zone that is named now; absent or null when none is. Stored names are not judged again: the list may have become stricter. */
export const readZone = (text: string | null | undefined): Result.Result<string | null, Invalid> => {
  if (text === null || text === undefined) return Result.succeed(null)
  return Result.mapError(
    parseZone(text),
    (problem) => new Invalid({ field: "zone", message: describeProblem(text, problem) }),
  )
}
