/** Cron expressions: reading them. cron-parser expands the fields; nothing else of it is used. */
import { CronExpressionParser } from "cron-parser"
import { Result } from "effect"
import { type CronSchedule, type DayRule, nextLocal } from "./CronCalendar.ts"
import { refuseText, type TextProblem } from "./TextProblem.ts"

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

/** What the calendar alone can tell: `L`, `L-2`, `LW`, `15W`; `5L`, `1#3`. It is read here, and cron-parser sees the rest. */
const ofMonth = /^(?:L(?:-(?:[12]?\d|30))?|LW|(?:[1-9]|[12]\d|3[01])W)$/
const ofWeek = /^(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5])$/

/** What one item of a list may look like. cron-parser alone is too lenient: it reads `JANFEB` as December, for one. */
const field = (name: string, values: number, atom: string, special?: RegExp) => ({
  name,
  values,
  pattern: RegExp(`^(?:[*?]|${atom}(?:-${atom})?)(?:/\\d{1,3})?$`),
  special,
})
const FIELDS = [
  field("second", 60, value),
  field("minute", 60, value),
  field("hour", 24, value),
  field("day of month", 31, value, ofMonth),
  field("month", 12, month),
  field("day of week", 7, weekday, ofWeek),
]
const FIELDS_REMEDY = "The fields are: [second] minute hour day-of-month month day-of-week."

const MAX_CACHED = 4096
const cache = new Map<string, Result.Result<CronSchedule, TextProblem>>()

/** Reads an expression of five or six fields or a macro. Expressions that never fire are refused. */
export const parseCron = (text: string): Result.Result<CronSchedule, TextProblem> => {
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

const refuse = (reason: string, position: number | null) => refuseText(reason, position, FIELDS_REMEDY)
const refuseMacro = (reason: string, position: number) =>
  refuseText(reason, position, "Use @hourly, @daily, @weekly, @monthly or @yearly.")

const readCron = (text: string): Result.Result<CronSchedule, TextProblem> => {
  const tokens: ReadonlyArray<Token> = [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => ({
    text: word,
    position: index,
  }))
  const [first, second] = tokens
  if (first === undefined) return refuse("the expression is empty", null)
  if (first.text.startsWith("@")) {
    const macro = MACROS[first.text.toLowerCase()]
    if (macro === undefined) return refuseMacro(`there is no "${first.text}"`, first.position)
    if (second !== undefined) return refuseMacro(`nothing may follow "${first.text}"`, second.position)
    return readCron(macro)
  }
  if (tokens.length < 5 || tokens.length > 6)
    return refuse(
      `expected 5 or 6 fields, found ${tokens.length}`,
      tokens[6]?.position ?? text.trimEnd().length,
    )
  const fields = tokens.length === 6 ? tokens : [{ text: "0", position: first.position }, ...tokens]
  return readFields(fields.map(({ position, text }) => ({ text: text.toUpperCase(), position })))
}

const readFields = (fields: ReadonlyArray<Token>): Result.Result<CronSchedule, TextProblem> => {
  const itemsOf = fields.map(splitList)
  const misspelt = locate(itemsOf, findMisspelling)
  if (misspelt !== null) return Result.fail(misspelt)
  const texts = fields.map((field) => field.text)
  const never: TextProblem = {
    reason: "it never fires: no month in it has such a day",
    position: fields[3]!.position,
    remedy: "Choose a day that one of its months has.",
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
): TextProblem | null => {
  for (const [field, tokens] of tokensOf.entries())
    for (const token of tokens) {
      const fault = find(token.text, field)
      const reason = `${FIELDS[field]!.name} "${token.text}": ${fault}`
      if (fault !== null) return { reason, position: token.position, remedy: FIELDS_REMEDY }
    }
  return null
}

const findMisspelling = (item: string, field: number): string | null => {
  const rule = FIELDS[field]!
  if (item === "") return "a value is missing"
  if (item.startsWith("H")) return "hashed values (H) are not supported; write the value"
  if (!rule.pattern.test(item) && !isSpecial(item, field))
    return "not a value, a range, a step or a name of this field"
  const step = /\/(\d+)$/.exec(item)
  if (step === null) return null
  if (Number(step[1]) === 0) return "a step of 0 never gets anywhere"
  return Number(step[1]) > rule.values
    ? `a step of ${step[1]} is wider than the field, which has ${rule.values} values`
    : null
}

const complaintAbout = (text: string, field: number): string | null => {
  const plain = plainPart(text, field)
  const expanded = expand(FIELDS.map((_, other) => (other === field && plain !== "" ? plain : "*")))
  return typeof expanded === "string" ? expanded : null
}

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

const isSpecial = (item: string, field: number): boolean => FIELDS[field]?.special?.test(item) === true

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
