/** A slot is a place among those that are sent to at once: nobody has more than a share of them. */
import { assert, describe, it } from "@effect/vitest"
import type { Delivery } from "../../src/domain/Delivery.ts"
import type { DeliveriesPassedOver } from "../../src/services/LedgerDriver.ts"
import { makeSendSlots } from "../../src/services/SendSlots.ts"
import { aDelivery } from "../support/Rows.ts"

const rowsOf = (sessionId: string, count: number, channelType = "hook"): ReadonlyArray<Delivery> =>
  Array.from({ length: count }, (_, n) => aDelivery({ sessionId, outboundId: `o${n}`, channelType }))

/** A ledger in which these are due, in this order, and which counts how often it is asked. */
const ledgerOf = (rows: ReadonlyArray<Delivery>) => {
  const asked = { times: 0 }
  const dueBeside = ({ channels, sessions }: DeliveriesPassedOver) => {
    asked.times += 1
    return rows
      .filter((row) => !sessions.includes(row.sessionId) && !channels.includes(row.channelType ?? ""))
      .slice(0, 64)
  }
  return { asked, dueBeside }
}

const sessionsOf = (rows: ReadonlyArray<Delivery>) => rows.map(({ sessionId }) => String(sessionId))

describe("slots of deliveries", () => {
  it("a session with ten thousand rows leaves slots for those that come after it", () => {
    const { asked, dueBeside } = ledgerOf([...rowsOf("hog", 10_000), ...rowsOf("s1", 1), ...rowsOf("s2", 1)])
    const slots = makeSendSlots()
    const planned = slots.plan(dueBeside)
    assert.deepStrictEqual(sessionsOf(planned.start), ["hog", "hog", "hog", "hog", "s1", "s2"])
    assert.isAtMost(asked.times, 3)
    assert.deepStrictEqual(slots.plan(dueBeside).start, planned.start, "a plan takes nothing")
  })

  it("a channel that hangs leaves slots for the others", () => {
    const hanging = Array.from({ length: 100 }, (_, n) => rowsOf(`h${n}`, 1, "hangs")).flat()
    const { dueBeside } = ledgerOf([...hanging, ...rowsOf("s1", 1)])
    const { start } = makeSendSlots().plan(dueBeside)
    assert.strictEqual(start.filter(({ channelType }) => channelType === "hangs").length, 16)
    assert.include(sessionsOf(start), "s1")
  })

  it("a slot that is given back goes to a row that waits, of the session with the fewest", () => {
    const others = Array.from({ length: 40 }, (_, n) => rowsOf(`s${n}`, 1, `c${n % 4}`)).flat()
    const { asked, dueBeside } = ledgerOf([...rowsOf("hog", 8, "c9"), ...others])
    const slots = makeSendSlots()
    const planned = slots.plan(dueBeside)
    assert.strictEqual(planned.start.length, 32)
    slots.take(planned)
    const before = asked.times
    const [first] = planned.start
    const next = first === undefined ? undefined : slots.free(first)
    assert.isTrue(next?.sessionId.startsWith("s"), "not the one that has its share but for one")
    assert.strictEqual(asked.times, before, "without another look at the ledger")
  })

  it("a row that is being sent has no second slot", () => {
    const { dueBeside } = ledgerOf(rowsOf("s1", 2))
    const slots = makeSendSlots()
    slots.take(slots.plan(dueBeside))
    assert.deepStrictEqual(slots.plan(dueBeside).start, [])
  })
})
