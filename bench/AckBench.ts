/** Ten acks from a container's outbound.db into the ledger, by a pass of the sweep, in a session with little and with much history. */
import Database from "better-sqlite3"
import { Effect, Result } from "effect"
import * as path from "node:path"
import { transitionDelivery } from "../src/domain/Delivery.ts"
import { MessageId } from "../src/domain/Ids.ts"
import { LedgerDriver } from "../src/services/LedgerDriver.ts"
import { Mailbox } from "../src/services/Mailbox.ts"
import { SessionStore } from "../src/services/SessionStore.ts"
import { Sweep } from "../src/services/Sweep.ts"
import { amended, moved } from "../src/domain/Message.ts"
import { addSessions, GROUP, message, onHost, sessionId, untilStarted, waiting } from "./Host.ts"
import { type Bench, elapsed, median, rounds, shown, stopwatch, timed, until, upTo } from "./Measure.ts"

const ACKS = 10
const GLANCES = 1_000
const SETTLES_MS = 100
const SESSION = sessionId(0)

/** Messages that ended in earlier incarnations, each with the delivery of its answer. */
const addHistory = Effect.fnUntraced(function* (count: number) {
  const driver = yield* LedgerDriver
  const { message: first } = yield* message(0, 0)
  yield* driver.transaction((tx) => {
    const claimed = Result.getOrThrow(moved(first, "claim", { claimedAt: first.acceptedAt }))
    const past = Result.getOrThrow(moved(claimed, "complete", { endedAt: Date.now() }))
    tx.putMessage(past)
    for (let n = 1; n < count; n++) {
      const id = MessageId.make(`past${n}`)
      tx.putMessage(amended(past, { id, seq: -2 * n }))
      const answer = waiting(n, { incarnation: 0, seq: 2 * n - 1, inReplyTo: id })
      const sent = { _tag: "send", platformMessageId: null } as const
      tx.putDelivery(transitionDelivery(answer, sent, { now: Date.now(), revision: 0 }) ?? answer)
    }
    const session = tx.session(SESSION)
    if (session !== undefined) tx.putSession({ ...session, queued: 0, wakeAt: null })
    return Result.succeed(undefined)
  })
})

const measure = (history: number, count: number) =>
  onHost(
    Effect.fnUntraced(function* (host) {
      const { pass } = yield* Sweep
      const store = yield* SessionStore
      const mailbox = yield* Mailbox
      yield* addSessions(1)
      if (history > 0) yield* addHistory(history)
      yield* message(0, Date.now())
      yield* untilStarted(host, 1, Effect.andThen(pass, Effect.sleep(5)))
      const pair = { groupId: GROUP, sessionId: SESSION, incarnation: 1 }
      const outbound = new Database(path.join(mailbox.paths(pair).outDir, "outbound.db"))
      yield* Effect.addFinalizer(() => Effect.sync(() => outbound.close()))
      const acknowledge = outbound.prepare(
        "INSERT OR REPLACE INTO processing_ack (message_id, status, status_changed) VALUES (?, 'completed', ?)",
      )
      const ingests: Array<number> = []
      for (let round = 0; round < count; round++) {
        const accepted = yield* Effect.forEach(upTo(ACKS), () => message(0, Date.now()))
        yield* pass
        const changed = new Date().toISOString()
        outbound.transaction(() => {
          for (const { message } of accepted) acknowledge.run(message.id, changed)
        })()
        const look = store.read((reader) =>
          accepted.every(({ message }) => reader.message(message.id)?.state === "completed"),
        )
        // One pass, but for the first: the process that reads is starting then.
        ingests.push(yield* elapsed(until("ingested", Effect.andThen(pass, look))))
      }
      const glance = stopwatch()
      for (let n = 0; n < GLANCES; n++) mailbox.glance(pair)
      const glanceMs = glance() / GLANCES
      // A file that was written to just now is read again: its time stamp is no finer than a few milliseconds.
      yield* Effect.sleep(SETTLES_MS)
      yield* pass
      return { ingestMs: median(ingests), glanceMs, quietMs: median(yield* rounds(count, () => pass)) }
    }),
  )

export const ackBench: Bench = {
  name: "acks",
  about: `${ACKS} acks written by a container → in the ledger, one pass; and looks at a running session where nothing changed`,
  run: async (size) => {
    const [much, count] = size === "smoke" ? [500, 5] : [10_000, 25]
    const none = await measure(0, count)
    const old = await measure(much, count)
    const history = `${shown(much)} messages of history`
    const over = (value: number) => ({ over: ["no history", value] as const })
    return [
      timed(`${ACKS} acks, no history`, none.ingestMs),
      timed(`${ACKS} acks, ${history}`, old.ingestMs, 5, over(none.ingestMs)),
      timed(`look at its files, ${history}`, old.glanceMs, 0.1, over(none.glanceMs)),
      timed(`whole pass over it, ${history}`, old.quietMs, undefined, over(none.quietMs)),
    ]
  },
}
