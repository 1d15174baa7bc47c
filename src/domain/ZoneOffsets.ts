/**
 * The offsets of a time zone as a line of spans, each with one offset to UTC. Everything that
 * knows about daylight saving builds on spans: a gap or a repeated hour is the border between two of them. Offsets come from
 * the runtime's own zone data (Intl) and are cached, since one lookup there costs as much as a whole cron evaluation here.
 */
import { DAY_MS, SECOND_MS } from "./Instant.ts"

/** A stretch of time, `startMs <= instant < endMs`, in which the zone keeps one offset: local = instant + offsetMs. */
export interface ZoneSpan {
  readonly startMs: number
  /** Either a transition or merely the end of the cached stretch; in that case the next span has the same offset. */
  readonly endMs: number
  readonly offsetMs: number
  /** The offset just before `startMs`: smaller than `offsetMs` after a gap, larger after a repeated hour. */
  readonly previousOffsetMs: number
}

interface Zone {
  readonly format: Intl.DateTimeFormat
  readonly chunks: Map<number, ReadonlyArray<ZoneSpan>>
}

const CHUNK_MS = 400 * DAY_MS
/** Shorter than the shortest time between two changes of any zone since 1970 (Tucumán, 2004: twelve days). */
const PROBE_MS = 5 * DAY_MS
const MAX_ZONES = 128
const MAX_CHUNKS_PER_ZONE = 64

const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/

const zones = new Map<string, Zone>()

const openZone = (name: string): Zone | null => {
  const cached = zones.get(name)
  if (cached !== undefined) return cached
  // Intl takes fixed offsets (`+01:00`) as names too; they are no zones, so the pattern keeps them out.
  if (!ZONE_NAME.test(name)) return null
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" })
  } catch {
    return null
  }
  const oldest = zones.keys().next()
  if (zones.size >= MAX_ZONES && oldest.done !== true) zones.delete(oldest.value)
  const zone = { format, chunks: new Map<number, ReadonlyArray<ZoneSpan>>() }
  zones.set(name, zone)
  return zone
}

/** What the platform calls a zone; null when it does not know it. Which names are zones at all is decided by `Zone.ts`. */
export const platformZone = (name: string): string | null =>
  openZone(name)?.format.resolvedOptions().timeZone ?? null

const OFFSET = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/

const readOffset = (zone: Zone, instant: number): number => {
  const match = OFFSET.exec(zone.format.format(instant))
  if (match === null || match[1] === undefined) return 0
  const seconds = Number(match[2]) * 3600 + Number(match[3]) * 60 + Number(match[4] ?? 0)
  return (match[1] === "-" ? -seconds : seconds) * SECOND_MS
}

/** The first second after `low` that has another offset than `low`, given that `high` has. */
const findTransition = (zone: Zone, low: number, high: number, offsetMs: number): number => {
  let before = low
  let after = high
  while (after - before > SECOND_MS) {
    const middle = before + Math.floor((after - before) / 2 / SECOND_MS) * SECOND_MS
    if (readOffset(zone, middle) === offsetMs) before = middle
    else after = middle
  }
  return after
}

const buildChunk = (zone: Zone, index: number): ReadonlyArray<ZoneSpan> => {
  const chunkStart = index * CHUNK_MS
  const chunkEnd = chunkStart + CHUNK_MS
  const spans: Array<ZoneSpan> = []
  // Probes stand on the last second before a border, so that a transition exactly at the chunk's start is found as one.
  let probe = chunkStart - SECOND_MS
  let offsetMs = readOffset(zone, probe)
  let startMs = chunkStart
  let previousOffsetMs = offsetMs
  while (probe < chunkEnd - SECOND_MS) {
    const nextProbe = probe + PROBE_MS
    const nextOffsetMs = readOffset(zone, nextProbe)
    if (nextOffsetMs !== offsetMs) {
      const transition = findTransition(zone, probe, nextProbe, offsetMs)
      if (transition > startMs) spans.push({ startMs, endMs: transition, offsetMs, previousOffsetMs })
      startMs = transition
      previousOffsetMs = offsetMs
      offsetMs = nextOffsetMs
    }
    probe = nextProbe
  }
  spans.push({ startMs, endMs: chunkEnd, offsetMs, previousOffsetMs })
  return spans
}

/** The span that holds an instant; null when there is no such zone. */
export const spanAt = (name: string, instant: number): ZoneSpan | null => {
  const zone = openZone(name)
  if (zone === null) return null
  const index = Math.floor(instant / CHUNK_MS)
  let spans = zone.chunks.get(index)
  if (spans === undefined) {
    if (zone.chunks.size >= MAX_CHUNKS_PER_ZONE) zone.chunks.clear()
    spans = buildChunk(zone, index)
    zone.chunks.set(index, spans)
  }
  for (const span of spans) if (instant < span.endMs) return span
  return null
}

/**
 * The instant of a wall-clock time, given as the milliseconds that a UTC clock with the same face would show. A time inside a
 * gap is the first instant after the gap; a repeated one is its first pass. Null when there is no such zone.
 */
export const instantOfLocal = (name: string, localMs: number): number | null => {
  // No offset reaches two days, so this starts in a span that is certainly not too late.
  let span = spanAt(name, localMs - 2 * DAY_MS)
  while (span !== null && localMs - span.offsetMs >= span.endMs) span = spanAt(name, span.endMs)
  return span === null ? null : Math.max(localMs - span.offsetMs, span.startMs)
}
