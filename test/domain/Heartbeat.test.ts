import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { type HeartbeatView, observeHeartbeat } from "../../src/domain/Heartbeat.ts"
import type { EpochMs } from "../../src/domain/Instant.ts"

const T: EpochMs = 1_800_000_000_000

describe("a heartbeat", () => {
  it("is none while there is no file", () => {
    assert.deepStrictEqual(observeHeartbeat(null, null, T), { mtime: null, heartbeatAt: null })
  })

  it("is the file's time where that is possible, up to this very instant", () => {
    assert.deepStrictEqual(observeHeartbeat(null, T - 5, T), { mtime: T - 5, heartbeatAt: T - 5 })
    assert.deepStrictEqual(observeHeartbeat(null, T, T), { mtime: T, heartbeatAt: T })
  })

  it("of the future counts as the moment at which the host observed it, once", () => {
    const seen = observeHeartbeat(null, T + 1, T)
    assert.deepStrictEqual(seen, { mtime: T + 1, heartbeatAt: T })
    assert.deepStrictEqual(observeHeartbeat(seen, T + 1, T + 60_000), { mtime: T + 1, heartbeatAt: T })
  })

  it("of the future that changes again is progress again", () => {
    const seen = observeHeartbeat(null, T + 1_000_000, T)
    const again = observeHeartbeat(seen, T + 2_000_000, T + 500)
    assert.deepStrictEqual(again, { mtime: T + 2_000_000, heartbeatAt: T + 500 })
  })

  it("is not taken away by a time that is set back, or by a file that vanishes and comes back the same", () => {
    const seen = observeHeartbeat(null, T, T)
    assert.strictEqual(observeHeartbeat(seen, T - 9_000, T + 10).heartbeatAt, T)
    const gone = observeHeartbeat(seen, null, T + 10)
    assert.strictEqual(gone.heartbeatAt, T)
    assert.deepStrictEqual(observeHeartbeat(gone, T, T + 60_000), seen)
  })

  it("counts as observed now when the host's clock was set back", () => {
    const seen = observeHeartbeat(null, T, T)
    assert.deepStrictEqual(observeHeartbeat(seen, T, T - 3_600_000), { mtime: T, heartbeatAt: T - 3_600_000 })
    assert.strictEqual(observeHeartbeat(seen, T - 3_599_000, T - 3_599_000).heartbeatAt, T - 3_599_000)
  })

  const look = Schema.Struct({
    mtime: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))),
    passedMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })),
  })

  it.prop(
    "never stands in the future, never falls, and moves only when the file's time does",
    { looks: Schema.Array(look).check(Schema.isMaxLength(20)) },
    ({ looks }) => {
      let now = 0
      let view: HeartbeatView | null = null
      for (const { mtime, passedMs } of looks) {
        now += passedMs
        const next: HeartbeatView = observeHeartbeat(view, mtime, now)
        const before: EpochMs | null = view === null ? null : view.heartbeatAt
        if (next.heartbeatAt !== null) assert.isAtMost(next.heartbeatAt, now)
        if (before !== null) assert.isAtLeast(next.heartbeatAt ?? -1, before)
        if (mtime === null || mtime === view?.mtime) assert.strictEqual(next.heartbeatAt, before)
        view = next
      }
    },
  )
})
