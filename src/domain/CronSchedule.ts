/**
 * Cron expressions: reading them (cron-parser expands the fields, nothing else of it is used) and finding the instants at which
 * they fire. The library's own walk loses or doubles runs around clock changes, so evaluation is done here, on the spans of
 * `ZoneOffsets.ts`: inside one span local time is instant + offset, and all daylight-saving rules live at the borders.
 *
 * Hours are **elapsed** or **fixed**. Elapsed: the hour field covers all 24 hours, or has a step (`0-23/2`, `8-18/2`) and leaves
 * more than one. Fixed: everything else, that is lists and plain ranges. Minutes and seconds don't matter for this.
 *
 * - Fixed: a time in a gap runs at the first instant after the gap; a repeated time runs in its first pass only.
 * - Elapsed: runs in both passes. A time in a gap is dropped when the schedule runs anyway at the instant that the old offset
 *   gives it (`15 * * * *`: 02:15 would be 03:15), and otherwise runs at the first instant after the gap, like a fixed one; so
 *   a gap never makes the wait longer than the schedule's own.
 * - All times of one gap are at most one slot, at the gap's end.
 */
import { CronExpressionParser } from "cron-parser"
import { Result } from "effect"
import type { CronSchedule, DayRule } from "./CronCalendar.ts"
import { nextLocal, previousLocal } from "./CronCalendar.ts"
import { DAY_MS, SECOND_MS } from "./Instant.ts"
import type { ZoneSpan } from "./ZoneOffsets.ts"
import { spanAt } from "./ZoneOffsets.ts"

/** Why an expression is refused; `position` is the index in the text of the first offending character. */
export interface CronRefusal {
  readonly reason: string
  readonly position: number | null
}

const MACROS: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
  "@minutely": "* * * * *",
  "@weekdays": "0 0 * * 1-5",
  "@weekends": "0 0 * * 0,6",
}

const value = "\\d{1,2}"
const month = `(?:${value}|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)`
const weekday = "(?:\\d|SUN|MON|TUE|WED|THU|FRI|SAT)"
const items = (atom: string, ...more: ReadonlyArray<string>) =>
  new RegExp(`^(?:${[`(?:[*?]|${atom}(?:-${atom})?)(?:/\\d{1,3})?`, ...more].join("|")})$`)

/** What the calendar alone can tell: `L`, `L-2`, `LW`, `15W`; `5L`, `1#3`. It is read here, and cron-parser sees the rest. */
const ofMonth = "L(?:-(?:[12]?\\d|30))?|LW|(?:[1-9]|[12]\\d|3[01])W"
const ofWeek = "(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5])"
const SPECIAL = [
  undefined,
  undefined,
  undefined,
  RegExp(`^(?:${ofMonth})$`),
  undefined,
  RegExp(`^${ofWeek}$`),
]

/** What one item of a list may look like. cron-parser alone is too lenient: it reads `JANFEB` as December, for one. */
const FIELDS = [
  { name: "second", pattern: items(value), values: 60 },
  { name: "minute", pattern: items(value), values: 60 },
  { name: "hour", pattern: items(value), values: 24 },
  { name: "day of month", pattern: items(value, ofMonth), values: 31 },
  { name: "month", pattern: items(month), values: 12 },
  { name: "day of week", pattern: items(weekday, ofWeek), values: 7 },
] as const

const MAX_CACHED = 4096
const cache = new Map<string, Result.Result<CronSchedule, CronRefusal>>()

/** Reads an expression of five or six fields or a macro. Expressions that never fire are refused. */
export const parseCron = (text: string): Result.Result<CronSchedule, CronRefusal> => {
  const cached = cache.get(text)
  if (cached !== undefined) return cached
  const parsed = readCron(text)
  const oldest = cache.keys().next()
  if (cache.size >= MAX_CACHED && oldest.done !== true) cache.delete(oldest.value)
  cache.set(text, parsed)
  return parsed
}

interface Token {
  readonly text: string
  readonly position: number
}

const tokenize = (text: string): ReadonlyArray<Token> =>
  [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], position: match.index }))

const refuse = (reason: string, position: number | null): Result.Result<never, CronRefusal> =>
  Result.fail({ reason, position })

const readCron = (text: string): Result.Result<CronSchedule, CronRefusal> => {
  const tokens = tokenize(text)
  const first = tokens[0]
  if (first === undefined) return refuse("the expression is empty", null)
  if (first.text.startsWith("@")) {
    const macro = MACROS[first.text.toLowerCase()]
    if (macro === undefined) return refuse(`there is no "${first.text}"`, first.position)
    const second = tokens[1]
    if (second !== undefined) return refuse(`nothing may follow "${first.text}"`, second.position)
    return readCron(macro)
  }
  if (tokens.length < 5)
    return refuse(`expected 5 or 6 fields, found ${tokens.length}`, text.trimEnd().length)
  const seventh = tokens[6]
  if (seventh !== undefined) return refuse(`expected 5 or 6 fields, found ${tokens.length}`, seventh.position)
  const upper = tokens.map((token) => ({ text: token.text.toUpperCase(), position: token.position }))
  return readFields(upper.length === 6 ? upper : [{ text: "0", position: first.position }, ...upper])
}

const readFields = (fields: ReadonlyArray<Token>): Result.Result<CronSchedule, CronRefusal> => {
  const itemsOf = fields.map(splitList)
  const misspelt = locate(itemsOf, findMisspelling)
  if (misspelt !== null) return Result.fail(misspelt)
  const texts = fields.map((field) => field.text)
  const never: CronRefusal = {
    reason: "it never fires: no month in it has such a day",
    position: fields[3]!.position,
  }
  const plain = texts.map(plainPart)
  const expanded = expand(plain.map((text) => (text === "" ? "*" : text)))
  if (typeof expanded === "string") {
    // The library doesn't say where: ask it about each item alone, then about each list as a whole (doubled values).
    const fieldsAlone = fields.map((field) => [field])
    // Fields that are right one by one can together only be days that no month has.
    return Result.fail(locate(itemsOf, complaintAbout) ?? locate(fieldsAlone, complaintAbout) ?? never)
  }
  const cron = toSchedule(texts, plain, expanded)
  return nextLocal(cron, 0) === null ? Result.fail(never) : Result.succeed(cron)
}

/** The items of a list, each with its own position. */
const splitList = (field: Token): ReadonlyArray<Token> => {
  let position = field.position
  return field.text.split(",").map((text) => {
    const item = { text, position }
    position += text.length + 1
    return item
  })
}

/** The first fault that `find` sees in the tokens of each field. */
const locate = (
  tokensOf: ReadonlyArray<ReadonlyArray<Token>>,
  find: (text: string, field: number) => string | null,
): CronRefusal | null => {
  for (const [field, tokens] of tokensOf.entries())
    for (const token of tokens) {
      const fault = find(token.text, field)
      if (fault !== null)
        return { reason: `${FIELDS[field]!.name} "${token.text}": ${fault}`, position: token.position }
    }
  return null
}

const findMisspelling = (item: string, field: number): string | null => {
  const rule = FIELDS[field]!
  if (item === "") return "a value is missing"
  if (item.startsWith("H")) return "hashed values (H) are not supported; write the value"
  if (!rule.pattern.test(item)) return "not a value, a range, a step or a name of this field"
  const step = /\/(\d+)$/.exec(item)
  if (step === null) return null
  if (Number(step[1]) === 0) return "a step of 0 never gets anywhere"
  return Number(step[1]) > rule.values
    ? `a step of ${step[1]} is wider than the field, which has ${rule.values} values`
    : null
}

const complaintAbout = (text: string, field: number): string | null => {
  const plain = plainPart(text, field)
  const expanded = plain === "" ? undefined : expand(onlyField(plain, field))
  return typeof expanded === "string" ? expanded : null
}

const onlyField = (text: string, index: number): ReadonlyArray<string> =>
  FIELDS.map((_, other) => (other === index ? text : "*"))

/** The fields as cron-parser expands them, or its complaint. */
const expand = (texts: ReadonlyArray<string>) => {
  try {
    return CronExpressionParser.parse(texts.join(" ")).fields
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return message
      .replace(/^(?:Constraint error|\w+ Validation error|Validation error), /, "")
      .replace(/^Invalid /, "invalid ")
  }
}

type ExpandedFields = Exclude<ReturnType<typeof expand>, string>

const isSpecial = (item: string, field: number): boolean => SPECIAL[field]?.test(item) === true

/** The items of a field that cron-parser reads; empty when there are none. */
const plainPart = (text: string, field: number): string =>
  text
    .split(",")
    .filter((item) => !isSpecial(item, field))
    .join(",")

const toSchedule = (
  texts: ReadonlyArray<string>,
  plain: ReadonlyArray<string>,
  fields: ExpandedFields,
): CronSchedule => {
  const [second, ...five] = texts.map((text) => (text === "?" ? "*" : text))
  const hours = fields.hour.values.map(Number)
  const months = fields.month.values.map(Number)
  const days = dayRule(texts, {
    daysOfMonth: plain[3] === "" ? [] : fields.dayOfMonth.values.map(Number),
    daysOfWeek: plain[5] === "" ? [] : [...new Set(fields.dayOfWeek.values.map((day) => Number(day) % 7))],
  })
  const allDays = days.daysOfMonth.length === 31 && days.daysOfWeek.length === 7
  return {
    expression: second === "0" ? five.join(" ") : [second, ...five].join(" "),
    seconds: fields.second.values.map(Number),
    minutes: fields.minute.values.map(Number),
    hours,
    months,
    days,
    elapsed: hours.length === 24 || (hours.length > 1 && texts[2]!.includes("/")),
    everyDay: allDays && months.length === 12,
  }
}

const WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

const dayRule = (
  texts: ReadonlyArray<string>,
  plain: Pick<DayRule, "daysOfMonth" | "daysOfWeek">,
): DayRule => {
  const specials = (field: number) => texts[field]!.split(",").filter((item) => isSpecial(item, field))
  const ofMonths = specials(3)
  return {
    ...plain,
    either: ![texts[3]!, texts[5]!].some((text) => /^[*?]/.test(text)),
    beforeLast: ofMonths.filter((item) => /^L(?:-|$)/.test(item)).map((item) => Number(item.slice(2))),
    workdays: ofMonths
      .filter((item) => item.endsWith("W"))
      .map((item) => (item === "LW" ? 0 : Number.parseInt(item, 10))),
    nthWeekdays: specials(5).map((item) => {
      const day = item.replace(/L$|#.$/, "")
      const weekday = WEEKDAYS.includes(day) ? WEEKDAYS.indexOf(day) : Number(day) % 7
      return { weekday, nth: item.endsWith("L") ? 0 : Number(item.at(-1)) }
    }),
  }
}

/** No gap or repeated stretch is longer; a search may jump over all borders that are farther away than this. */
const BORDER_MS = 2 * DAY_MS

/** Whether times inside the gap before this span make its first instant a slot. */
export const isGapSlot = (cron: CronSchedule, span: ZoneSpan): boolean => {
  const shift = span.offsetMs - span.previousOffsetMs
  if (shift <= 0) return false
  const gapEnd = span.startMs + span.offsetMs
  let local = nextLocal(cron, gapEnd - shift)
  if (!cron.elapsed) return local !== null && local < gapEnd
  if (nextLocal(cron, gapEnd) === gapEnd) return false
  while (local !== null && local < gapEnd) {
    if (nextLocal(cron, local + shift) !== local + shift) return true
    local = nextLocal(cron, local + SECOND_MS)
  }
  return false
}

/** The first local time of a span that can fire: fixed times already ran in the first pass of a repeated stretch. */
export const firstLocal = (cron: CronSchedule, span: ZoneSpan): number =>
  span.startMs + (cron.elapsed ? span.offsetMs : Math.max(span.offsetMs, span.previousOffsetMs))

/** The first slot strictly after an instant; null when there is none or no such zone. */
export const nextCronSlot = (cron: CronSchedule, zone: string, after: number): number | null => {
  let from = Math.floor(after / SECOND_MS) * SECOND_MS + SECOND_MS
  for (;;) {
    const span = spanAt(zone, from)
    if (span === null) return null
    if (from === span.startMs && isGapSlot(cron, span)) return from
    const local = nextLocal(cron, Math.max(from + span.offsetMs, firstLocal(cron, span)))
    if (local === null) return null
    const slot = local - span.offsetMs
    if (slot < span.endMs) return slot
    // Far from the border nothing before `local` can match, so the spans in between need no look.
    const jumps = span.endMs - from > BORDER_MS && slot - span.endMs > BORDER_MS
    from = jumps ? slot - BORDER_MS : span.endMs
  }
}

/** The last slot strictly before an instant, not before 1970; null when there is none or no such zone. */
export const previousCronSlot = (cron: CronSchedule, zone: string, before: number): number | null => {
  let to = Math.ceil(before / SECOND_MS) * SECOND_MS - SECOND_MS
  while (to >= 0) {
    const span = spanAt(zone, to)
    if (span === null) return null
    const local = previousLocal(cron, to + span.offsetMs)
    const slot = local === null ? Number.NEGATIVE_INFINITY : local - span.offsetMs
    if (local !== null && slot >= span.startMs && local >= firstLocal(cron, span))
      return slot >= 0 ? slot : null
    if (isGapSlot(cron, span)) return span.startMs >= 0 ? span.startMs : null
    const jumps = to - span.startMs > BORDER_MS && span.startMs - slot > BORDER_MS
    to = jumps ? slot + BORDER_MS : span.startMs - SECOND_MS
  }
  return null
}
