/** The longest stall of the event loop while every hostile session of a class attacks one host, beside a host where nothing happens. */
import { Effect } from "effect"
import { onBesiegedHost } from "../test/hostile/BesiegedHost.ts"
import { corpus } from "../test/hostile/Corpus.ts"
import { hostile, type HostileCase } from "../test/hostile/HostileCase.ts"
import { execute, rows as rowsOf } from "../test/hostile/OutboundFile.ts"
import { type Bench, median, ms, percentile, type Row, stalls, timed, upTo } from "./Measure.ts"

const TARGET_MS = 50
/** Of an honest session's slowest turns, with a neighbour that writes much beside one that writes nothing. */
const MAX_SLOWER = 3

const chatty = hostile("ten thousand rows at once", "read", ({ outbound }) =>
  execute(outbound, rowsOf(10_000, {})),
)

/** The honest session's turns go on until what was planted has been dealt with. */
const measure = (cases: ReadonlyArray<HostileCase>, turns: number, sessions: number) =>
  onBesiegedHost(
    cases,
    Effect.fnUntraced(function* ({ besiege, honestTurn, plant }) {
      yield* besiege
      yield* honestTurn
      const more = Effect.forEach(upTo(turns), () => Effect.delay(honestTurn, 50))
      const { stallMs, value } = yield* stalls(Effect.andThen(plant, more))
      return { stallMs, turnMs: median(value), p99Ms: percentile(value, 0.99) }
    }),
    sessions,
  )

export const hostileBench: Bench = {
  name: "hostile",
  about:
    "longest stall of the event loop while all hostile sessions of a class attack at once; median turn of an honest session",
  run: async (size) => {
    const turns = size === "smoke" ? 10 : 40
    const rows: Array<Row> = []
    for (const [name, cases] of Object.entries(corpus)) {
      const idle = await measure([], turns, cases.length + 1)
      const attacked = await measure(cases, turns, cases.length + 1)
      const what = `${cases.length} hostile ${name}`
      rows.push(
        { ...timed(`${what}: stall`, attacked.stallMs, TARGET_MS), beside: `all honest ${ms(idle.stallMs)}` },
        { ...timed(`${what}: honest turn`, attacked.turnMs), beside: `all honest ${ms(idle.turnMs)}` },
      )
    }
    const alone = await measure([], turns * 5, 2)
    const beside = await measure([chatty], turns * 5, 2)
    const ratio = beside.p99Ms / alone.p99Ms
    rows.push({
      ...timed("one that writes 10,000 rows: p99 of an honest turn", beside.p99Ms),
      beside: `alone ${ms(alone.p99Ms)}`,
      ratio: `${ratio.toFixed(2)} ×`,
      target: [`≤ ${MAX_SLOWER} ×`, ratio <= MAX_SLOWER],
    })
    return rows
  },
}
