/** Rows into inbound.db: each opened, written in one transaction, and closed. */
import { Effect } from "effect"
import { MessageId } from "../src/domain/Ids.ts"
import { amended } from "../src/domain/Message.ts"
import { Mailbox } from "../src/services/Mailbox.ts"
import { addSessions, GROUP, message, onHost, sessionId } from "./Host.ts"
import { type Bench, median, perSecond, rate, rounds, upTo } from "./Measure.ts"

const ROUNDS = 5

const pair = { groupId: GROUP, sessionId: sessionId(0), incarnation: 1 }

/** `count` rows in batches, round after round into the same file. */
const project = (count: number, batch: number) =>
  onHost(
    Effect.fnUntraced(function* () {
      const mailbox = yield* Mailbox
      yield* addSessions(1)
      const { message: first } = yield* message(0, 1_000)
      const rows = (from: number) =>
        upTo(batch).map((n) => ({
          status: "pending" as const,
          message: amended(first, { id: MessageId.make(`m${from + n}`), seq: (from + n) * 2 }),
        }))
      yield* mailbox.create(pair, { sessionState: [], outbound: [], createdAt: 0 })
      const taken = yield* rounds(ROUNDS, (round) =>
        Effect.forEach(upTo(count / batch), (n) => {
          const from = round * count + n * batch + 1
          const rest = { delivered: [], series: null, destinations: null, routing: null }
          return mailbox.project(pair, { revision: from + batch, messages: rows(from), ...rest })
        }),
      )
      return median(taken)
    }),
  )

export const inboundBench: Bench = {
  name: "inbound",
  about: "rows into one session's inbound.db (journal PERSIST, no fsync), median of five rounds",
  run: async (size) => {
    const [singles, batched] = size === "smoke" ? [20, 500] : [300, 10_000]
    const one = await project(singles, 1)
    const many = await project(batched, 100)
    return [
      rate("one by one", singles, one, 1_000),
      {
        ...rate("batches of 100", batched, many, 12_500),
        beside: `one by one ${perSecond(singles, one)}`,
        ratio: `${(batched / many / (singles / one)).toFixed(0)} ×`,
      },
    ]
  },
}
