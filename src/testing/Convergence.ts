/**
 * The quiet phase of a simulated world: no more faults, everything released, and within a bounded time the queues are empty, nothing
 * lives that should not, every slot has become what the policy says, and recovering twice equals once (security.md §6: 1, 5, 11, 12).
 */
import { Effect } from "effect"
import { HOUR_MS, MINUTE_MS } from "../domain/Instant.ts"
import { isTerminal, wakes } from "../domain/Message.ts"
import { previousSlotOf } from "../domain/SeriesSlots.ts"
import { hashText } from "./SeededRandom.ts"
import { overstayed } from "./SeriesWatch.ts"
import type { Ground } from "./Ground.ts"
import { calm, type Victims } from "./Havoc.ts"
import { LONGEST_RETENTION_MS, type WorldShape } from "./WorldShape.ts"

/** Time for what was down to come up, and for whoever backed off to try again. */
const SETTLE_MS = 30 * MINUTE_MS
/** How long slots are watched one by one. */
const WATCHED_MS = HOUR_MS
/** Six executions with their backoffs, twelve sends with theirs, one after the other. */
const DRAIN_LIMIT_MS = 16 * HOUR_MS
const STEP_MS = 5 * MINUTE_MS

/** A world that has seen its faults. */
export interface TriedWorld extends Victims {
  readonly shape: WorldShape
  /** Runs it up to this elapsed instant; false when something broke on the way. */
  readonly until: (at: number) => boolean
}

export const converge = (world: TriedWorld): void => {
  const { ground, operators, until } = world
  const { now, truth, violate, watch } = ground
  const start = now()
  ground.note("the quiet phase begins")
  calm(world)
  ground.after(MINUTE_MS, () => operators.releaseAll())
  if (!until(start + SETTLE_MS)) return
  const missedBefore = missedSlots(world)
  const revisions = new Map([...watch.series.values()].map(({ id, revision }) => [id as string, revision]))
  if (!until(start + SETTLE_MS + WATCHED_MS)) return
  checkSlots(world, revisions, missedBefore)
  operators.pauseAll()
  const deadline = now() + DRAIN_LIMIT_MS + truth.setBackMs
  while (true) {
    if (!until(now() + STEP_MS)) return
    const waiting = stillOpen(world)
    if (waiting.length === 0) break
    if (now() > deadline) return violate(12, `the queues do not drain: ${waiting.slice(0, 5).join("; ")}`)
  }
  if (!until(now() + STEP_MS)) return
  checkLedger(world)
  recoverTwice(world)
}

/** What is not at rest, in words. */
const stillOpen = ({ ground, lives, operators }: TriedWorld): ReadonlyArray<string> => {
  const { engine, wall, watch } = ground
  const open: Array<string> = []
  if (lives.current === null) open.push("the daemon is down")
  if (operators.open.size > 0) open.push(`${operators.open.size} sends without an answer`)
  for (const row of watch.messages.values()) {
    if (wakes(row) && !isTerminal(row.state))
      open.push(
        `message ${row.id} of ${row.sessionId} is ${row.state} (due ${row.dueAt - wall()} ms from now)`,
      )
  }
  for (const row of watch.deliveries.values()) {
    if (row.status === "pending")
      open.push(`delivery ${row.id} is pending: ${row.lastError ?? "never tried"}`)
  }
  for (const row of watch.incarnations.values()) {
    if (row.phase !== "ended") open.push(`incarnation ${row.sessionId}/${row.number} is ${row.phase}`)
  }
  if (engine.running() > 0) open.push(`${engine.running()} containers run`)
  return open
}

/** In fair weather every slot is dealt with at its time, and none is missed: `SeriesWatch` has seen what each of them became. */
const checkSlots = (
  world: TriedWorld,
  revisions: ReadonlyMap<string, number>,
  missedBefore: number,
): void => {
  const { violate, wall, watch } = world.ground
  const to = wall()
  for (const series of watch.series.values()) {
    // Agents go on changing tasks: what was changed meanwhile has had two schedules.
    if (series.status !== "active" || revisions.get(series.id) !== series.revision) continue
    const last = previousSlotOf(series, to - MINUTE_MS)
    if (last !== null && last > to - WATCHED_MS && (series.lastSlot ?? 0) < last)
      violate(5, `slot ${new Date(last).toISOString()} of ${series.id} was not dealt with`)
  }
  const missed = missedSlots(world) - missedBefore
  if (missed > 0) violate(5, `${missed} slots were missed, and nothing was wrong`)
}

const missedSlots = ({ ground }: TriedWorld): number => ground.watch.tasks.sights.get("slot-missed") ?? 0

const checkLedger = ({ ground, lives, shape }: TriedWorld): void => {
  const { driver, engine, now, truth, violate, wall, watch } = ground
  const floor = wall() - shape.historyRetentionMs
  Effect.runSync(
    driver.read((reader) => {
      for (const [id, row] of watch.messages) {
        const stored = reader.message(row.id)
        if (stored === undefined) {
          if (!isTerminal(row.state) || (row.endedAt ?? 0) >= floor) violate(1, `message ${id} is lost`)
        } else if (stored.state !== row.state || stored.tries !== row.tries) {
          violate(1, `message ${id} is ${stored.state} and was last written as ${row.state}`)
        }
      }
      if (reader.liveIncarnations().length !== 0) violate(11, "the ledger has live incarnations at rest")
      // The retention goes round once an hour.
      const latest = Math.min(wall(), shape.startedAt + now())
      const stayed = overstayed(reader, latest - LONGEST_RETENTION_MS - 2 * HOUR_MS - truth.setBackMs)
      if (stayed.length > 0) violate(11, `${stayed.join(", ")}: sessions of runs that ended long ago`)
    }),
  )
  for (const container of truth.containers.values()) {
    if (container.diedAt === null) violate(11, `${container.session}/${container.incarnation} lives at rest`)
  }
  if (engine.maximumLivePerSession() > 1) violate(3, "two containers of one session lived at once")
  const timers = lives.current?.process.timers() ?? 0
  if (timers > 8) violate(11, `the daemon has ${timers} timers at rest`)
  for (const send of truth.sends.values()) if (send.taken === 0) violate(2, "a delivery was never taken")
}

/** A crash at rest and a second recovery change nothing; history may go in between, when its retention is over. */
const recoverTwice = ({ ground, lives, until }: TriedWorld): void => {
  const before = pictureOf(ground)
  lives.crash(1_000, "at rest")
  if (!until(ground.now() + 10 * MINUTE_MS)) return
  for (const [name, row] of pictureOf(ground)) {
    if (before.get(name) !== row) ground.violate(12, `recovering at rest changed ${name}`)
  }
}

const pictureOf = ({ driver, watch }: Ground): ReadonlyMap<string, number> =>
  Effect.runSync(
    driver.read((reader) => {
      const picture = new Map<string, number>()
      const add = (name: string, row: unknown): void => {
        if (row !== undefined) picture.set(name, hashText(JSON.stringify(row)))
      }
      for (const { id } of watch.messages.values()) add(`message ${id}`, reader.message(id))
      for (const { id } of watch.deliveries.values()) add(`delivery ${id}`, reader.delivery(id))
      for (const { id } of watch.series.values()) add(`task ${id}`, reader.series(id))
      for (const row of reader.sessions({}, { limit: 100 })) {
        add(`session ${row.id}`, row)
        for (const life of reader.incarnations(row.id, { limit: 3 }))
          add(`life ${row.id}/${life.number}`, life)
      }
      return picture
    }),
  )
