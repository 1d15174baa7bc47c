import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { OutboundId } from "../../src/domain/Ids.ts"
import type { OutboundRow, Reading } from "../../src/services/Mailbox.ts"
import { slicesOf } from "../../src/services/sweep/Drain.ts"

const row = (n: number, kind: string, chars: number): OutboundRow => ({
  id: OutboundId.make(`o${n}`),
  seq: null,
  inReplyTo: null,
  timestamp: null,
  deliverAfter: null,
  recurrence: null,
  kind,
  channelType: null,
  platformId: null,
  threadId: null,
  content: JSON.stringify("x".repeat(chars)),
})

const reading = (outbound: ReadonlyArray<OutboundRow>): Reading => ({
  acks: [
    {
      messageId: "m1",
      status: "completed",
      changedAt: 0,
      precision: "ms",
      tries: 0,
      outcome: null,
      detail: { retryable: true, error: null, result: null },
    },
  ],
  outbound,
  tool: { tool: "Bash", declaredTimeoutMs: null, startedAt: null },
  sessionState: [{ key: "k", value: "v" }],
  rejected: [{ table: "messages_out", id: "bad", reason: "content is not JSON" }],
  outgrown: false,
  newestAt: null,
})

const Rows = Schema.Array(
  Schema.Struct({
    kind: Schema.Literals(["chat", "system"]),
    chars: Schema.Literals([0, 10, 1_000, 300_000]),
  }),
).check(Schema.isMaxLength(600))

describe("a reading in slices", () => {
  it("is one transaction when it is small", () => {
    const small = reading([row(1, "chat", 10), row(2, "system", 10)])
    assert.deepStrictEqual(slicesOf(small), { slices: [], last: small })
  })

  it.prop("keeps every row in its order, and everything else for the last", [Rows], ([rows]) => {
    const whole = reading(rows.map(({ chars, kind }, n) => row(n, kind, chars)))
    const { slices, last } = slicesOf(whole)
    assert.deepStrictEqual(
      [...slices, last].flatMap(({ outbound }) => outbound.map(({ id }) => id)),
      whole.outbound.map(({ id }) => id),
    )
    assert.deepStrictEqual({ ...last, outbound: [] }, { ...whole, outbound: [] })
    for (const slice of slices) {
      assert.deepStrictEqual([slice.acks, slice.rejected, slice.tool], [[], [], null])
      // A reading without its acks would have every claim given back.
      assert.isTrue(slice.outgrown)
      assert.isAbove(slice.outbound.length, 0)
    }
    for (const { outbound } of [...slices, last]) {
      assert.isAtMost(outbound.length, 200)
      assert.isAtMost(outbound.filter(({ kind }) => kind === "system").length, 10)
      assert.isAtMost(
        outbound.slice(0, -1).reduce((sum, { content }) => sum + content.length, 0),
        256 * 1024,
      )
    }
  })
})
