/** Rows into inbound.db: each opened, written in one transaction, and closed. */
import { Effect } from "effect"
import { GroupId, MessageId, SessionId } from "../src/domain/Ids.ts"
import type { Message } from "../src/domain/Message.ts"
import { accepted } from "../src/domain/MessageTransition.ts"
import * as SqliteMailbox from "../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox, type Pair, type Projection } from "../src/services/Mailbox.ts"
import { plainDraft } from "../src/services/ledger/Accept.ts"
import { dataDirectory } from "./Host.ts"
import { atLeast, type Bench, median, perSecond, rounds } from "./Measure.ts"

const ROUNDS = 5

const pair: Pair = { groupId: GroupId.make("g1"), sessionId: SessionId.make("s1"), incarnation: 1 }

const row = (n: number): Message =>
  accepted({
    ...plainDraft({
      id: MessageId.make(`m${n}`),
      kind: "chat",
      content: `{"text":"hello"}`,
      dueAt: 1_000,
      channelType: "stdout",
      platformId: "p1",
    }),
    sessionId: pair.sessionId,
    seq: n * 2,
    firstDueAt: 1_000,
    tries: 0,
    attempts: 0,
    admittedIn: 1,
    revision: 1,
    suspect: false,
    acceptedAt: 1_000,
    wokenAt: null,
    claimedAt: null,
    endedAt: null,
    error: null,
    result: null,
  })

const projection = (first: number, count: number): Projection => ({
  revision: first + count,
  messages: Array.from({ length: count }, (_, n) => ({
    status: "pending" as const,
    message: row(first + n),
  })),
  delivered: [],
  series: null,
  destinations: null,
  routing: null,
})

/** `count` rows in batches, round after round into the same file. */
const project = (count: number, batch: number): Promise<number> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      return yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.create(pair, { sessionState: [], outbound: [], createdAt: 0 })
        const taken = yield* rounds(ROUNDS, (round) =>
          Effect.gen(function* () {
            const from = round * count + 1
            for (let n = 0; n < count; n += batch) {
              yield* mailbox.project(pair, projection(from + n, batch))
            }
          }),
        )
        return median(taken)
      }).pipe(Effect.provide(SqliteMailbox.layer({ dataDir })))
    }).pipe(Effect.scoped),
  )

export const inboundBench: Bench = {
  name: "inbound",
  about: "rows into one session's inbound.db (journal PERSIST, no fsync), median of five rounds",
  run: async (size) => {
    const [singles, batched] = size === "smoke" ? [20, 500] : [300, 10_000]
    const one = await project(singles, 1)
    const many = await project(batched, 100)
    return [
      { what: "one by one", ours: perSecond(singles, one), target: atLeast(1_000, singles, one) },
      {
        what: "batches of 100",
        ours: perSecond(batched, many),
        beside: `one by one ${perSecond(singles, one)}`,
        ratio: `${(batched / many / (singles / one)).toFixed(0)} ×`,
        target: atLeast(12_500, batched, many),
      },
    ]
  },
}
