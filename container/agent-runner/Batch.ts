/**
 * What one turn answers: a pure choice over the headings of inbound rows.
 *
 * The oldest due trigger row decides. A `task` is a turn of its own, because it has its own script, its own skip and its own
 * entry in the run history. A `chat` or `webhook` row takes along later ones of the same address, because a turn has one
 * answer, which must not reach another conversation. Context (`trigger=0`, and `system` rows) rides along with either.
 */
import { parseInstant } from "./ExchangeTime.ts"

/** A pending row of `messages_in` without its content. */
export interface Heading {
  readonly id: string
  readonly seq: number
  readonly kind: string
  readonly processAfter: string | null
  readonly tries: number
  readonly trigger: number
  readonly onWake: number
  readonly channelType: string | null
  readonly platformId: string | null
  readonly threadId: string | null
  readonly contentBytes: number
}

export interface Choice {
  /** Oldest first, at least one. */
  readonly triggers: ReadonlyArray<Heading>
  /** Oldest first. */
  readonly context: ReadonlyArray<Heading>
}

export interface Considered {
  readonly choice: Choice | null
  /** When a row that waits for its `process_after` comes due; null when none waits. */
  readonly nextDueAtMs: number | null
}

export interface Circumstances {
  readonly nowMs: number
  readonly maxTriggers: number
  /** The `tries` of a row's ack: null in the ack of a runner that does not write it, undefined when there is no ack. */
  readonly ackedTries: (id: string) => number | null | undefined
  /** The `on_wake` rows that the first poll showed: no others count. */
  readonly wakeIds: ReadonlySet<string>
}

const MAX_CONTEXT_ROWS = 100
const MAX_CONTEXT_BYTES = 1024 * 1024
const MAX_TRIGGER_BYTES = 4 * 1024 * 1024

export const isContext = (row: Pick<Heading, "kind" | "trigger">): boolean =>
  row.trigger === 0 || row.kind === "system"

/** `headings` are pending rows by seq. */
export const chooseBatch = (headings: ReadonlyArray<Heading>, given: Circumstances): Considered => {
  const open: Array<Heading> = []
  let nextDueAtMs: number | null = null
  for (const row of headings) {
    if (row.onWake !== 0 && !given.wakeIds.has(row.id)) continue
    const dueAt = row.processAfter === null ? given.nowMs : parseInstant(row.processAfter)
    if (dueAt === null) continue
    if (dueAt > given.nowMs) {
      nextDueAtMs = Math.min(nextDueAtMs ?? dueAt, dueAt)
      continue
    }
    if (isOffered(row, given.ackedTries(row.id))) open.push(row)
  }
  const waiting = open.filter((row) => !isContext(row))
  const [first] = waiting
  if (first === undefined) return { choice: null, nextDueAtMs }
  const together = first.kind === "task" ? [first] : waiting.filter((row) => joins(first, row))
  return {
    choice: {
      triggers: within(together, given.maxTriggers, MAX_TRIGGER_BYTES),
      context: within(open.filter(isContext), MAX_CONTEXT_ROWS, MAX_CONTEXT_BYTES),
    },
    nextDueAtMs,
  }
}

/** An acked row is done, unless the host has counted a try since: then it is offered again. */
const isOffered = (row: Heading, ackedTries: number | null | undefined): boolean =>
  ackedTries === undefined || (ackedTries !== null && row.tries > ackedTries)

const joins = (first: Heading, row: Heading): boolean =>
  row.kind !== "task" &&
  row.channelType === first.channelType &&
  row.platformId === first.platformId &&
  row.threadId === first.threadId

/** A first row that is too large alone still goes, or it would block those behind it for ever. */
const within = (rows: ReadonlyArray<Heading>, maxRows: number, maxBytes: number): ReadonlyArray<Heading> => {
  const taken: Array<Heading> = []
  let bytes = 0
  for (const row of rows) {
    bytes += row.contentBytes
    if (taken.length > 0 && (taken.length === maxRows || bytes > maxBytes)) break
    taken.push(row)
  }
  return taken
}
