import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { MessageId } from "../../src/domain/Ids.ts"
import type { Policy } from "../../src/domain/Policy.ts"
import type { LedgerTx } from "../../src/services/LedgerDriver.ts"
import type { AckRow } from "../../src/services/Mailbox.ts"
import { planOf, runPlan } from "../../src/testing/Campaign.ts"
import type { DaemonLayers } from "../../src/testing/SimulatedDaemon.ts"
import { runWorld } from "../../src/testing/World.ts"

type Sabotage = (layers: DaemonLayers) => DaemonLayers

/** Questions and writes of the ledger, changed on their way. */
const ledgerWith =
  (change: (tx: LedgerTx) => Partial<LedgerTx>): Sabotage =>
  (layers) => ({
    ...layers,
    ledger: {
      ...layers.ledger,
      transaction: (f) => layers.ledger.transaction((tx) => f({ ...tx, ...change(tx) })),
      read: (f) => layers.ledger.read((reader) => f({ ...reader, ...change(reader as LedgerTx) })),
    },
  })

/** Every twentieth transaction is taken back after it was answered. */
const forgetful: Sabotage = (layers) => {
  let count = 0
  return {
    ...layers,
    ledger: {
      ...layers.ledger,
      transaction: <A, E>(f: (tx: LedgerTx) => Result.Result<A, E>) => {
        count += 1
        if (count % 20 !== 0) return layers.ledger.transaction(f)
        let answer: Result.Result<A, E> | null = null
        return layers.ledger
          .transaction((tx) => {
            answer = f(tx)
            return Result.fail("taken back" as const)
          })
          .pipe(
            Effect.catch((error) =>
              error === "taken back" && answer !== null
                ? Effect.fromResult(answer)
                : Effect.fail(error as never),
            ),
          )
      },
    },
  }
}

const channelWith =
  (change: (send: DaemonLayers["channels"]) => DaemonLayers["channels"]): Sabotage =>
  (layers) => ({ ...layers, channels: change(layers.channels) })

const ack = (messageId: string): AckRow => ({
  messageId,
  status: "completed",
  changedAt: null,
  precision: "ms",
  tries: null,
  outcome: null,
  detail: { retryable: true, error: null, result: null },
})

const cases: ReadonlyArray<
  readonly [what: string, invariants: ReadonlyArray<number>, how: Sabotage | Partial<Policy>]
> = [
  ["a ledger that forgets what it has answered", [1, 2, 3], forgetful],
  [
    "a channel that counts as told what it never was",
    [2],
    channelWith((channels) => ({
      ...channels,
      get: (type) => ({ type, send: () => Effect.succeed({ platformMessageId: null }) }),
    })),
  ],
  [
    "a delivery that is sent twice for no reason",
    [2],
    channelWith((channels) => ({
      ...channels,
      get: (type) => {
        const channel = channels.get(type)
        if (channel === undefined) return undefined
        return { type, send: (row) => Effect.andThen(channel.send(row), channel.send(row)) }
      },
    })),
  ],
  [
    "deliveries that overtake each other",
    [2],
    ledgerWith((tx) => ({ laneOf: (lane, limit) => (limit === 1 ? [] : tx.laneOf(lane, limit)) })),
  ],
  [
    "an engine's list that is empty and believed",
    [3],
    (layers) => ({
      ...layers,
      runtime: (plain) => ({ ...layers.runtime(plain), list: Effect.succeed([]) }),
    }),
  ],
  ["a retry before its backoff", [4], { retryBaseMs: 10 }],
  ["one retry too many", [4], { retryLimit: 9 }],
  ["slots that nobody looks at", [5], ledgerWith(() => ({ dueSeries: () => [], nextSlot: () => null }))],
  ["a heartbeat that counts for too little", [6], { ceilingMs: 30_000, claimToleranceMs: 10_000 }],
  [
    "signals that never arrive",
    [6],
    (layers) => ({
      ...layers,
      runtime: (plain) => ({ ...layers.runtime(plain), stop: () => Effect.void, kill: () => Effect.void }),
    }),
  ],
  [
    "a claim that no agent made",
    [10, 1],
    (layers) => ({
      ...layers,
      mailbox: {
        ...layers.mailbox,
        read: (pair, options) =>
          Effect.map(layers.mailbox.read(pair, options), (reading) => ({
            ...reading,
            acks: [
              ...reading.acks,
              ...Array.from({ length: 9 }, (_, index) => ack(MessageId.make(`m${index}`))),
            ],
          })),
      },
    }),
  ],
  [
    // What nobody wakes for does not drain either: which is seen first depends on where the day ends.
    "a session whose wake-up was forgotten",
    [11, 12],
    ledgerWith((tx) => ({
      putSession: (row) => tx.putSession(row.revision % 5 === 0 ? { ...row, wakeAt: null } : row),
    })),
  ],
  ["a queue that nobody wakes for", [12], ledgerWith(() => ({ sessionsToWake: () => [] }))],
]

const SEEDS = 16

describe("the invariants of a simulated world", () => {
  for (const [what, invariants, how] of cases) {
    it(`notice ${what}`, () => {
      const found: Array<number> = []
      for (let seed = 0; seed < SEEDS && found.length === 0; seed++) {
        const plan = planOf(`sabotage-${seed}`, 1)
        const { violation } = runWorld(
          typeof how === "function" ? { ...plan, sabotage: how } : { ...plan, misleading: how },
        )
        if (violation !== null) {
          assert.include(invariants, violation.invariant, violation.message)
          found.push(violation.invariant)
        }
      }
      assert.strictEqual(found.length, 1, "nobody noticed")
    })
  }

  it("hold in the same worlds without sabotage", () => {
    for (let seed = 0; seed < 4; seed++) {
      assert.isNull(runPlan(planOf(`sabotage-${seed}`, 1)).violation)
    }
  })
})
