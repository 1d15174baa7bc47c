/**
 * Times as text, at the boundary: what the exchange files hold and what an agent reads. A time without a zone is UTC, as SQLite
 * writes it, whatever TZ says. RFC 9557 text (`…[Europe/Paris]`) previews a series and never names an instant to act at.
 */

const TIME = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?$/i

/** Epoch milliseconds, or null for anything that is not an unambiguous instant. */
export const parseInstant = (text: string): number | null => {
  const match = TIME.exec(text.trim())
  if (match === null) return null
  const [, date = "", minutes = "00:00", seconds = "00", fraction = "", zone = "Z"] = match
  const offset = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone.toUpperCase()
  const at = Date.parse(`${date}T${minutes}:${seconds}${fraction.slice(0, 4)}${offset}`)
  return Number.isNaN(at) ? null : at
}

/** ISO 8601 in UTC with milliseconds: what this runner writes everywhere. */
export const formatInstant = (ms: number): string => new Date(ms).toISOString()

/** `2026-11-21 10:00` on the wall clock of an IANA zone. Throws a RangeError for a zone that does not exist. */
export const wallClock = (zone: string): ((ms: number) => string) => {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  })
  return (ms) => {
    const part: Record<string, string> = {}
    for (const { type, value } of format.formatToParts(ms)) part[type] = value
    return `${part["year"]}-${part["month"]}-${part["day"]} ${part["hour"]}:${part["minute"]}`
  }
}
