import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import {
  amended,
  IllegalTransition,
  isTerminal,
  type Message,
  MessageEvent,
  type MessageRow,
  MessageState,
  transition,
} from "../../src/domain/Message.ts"
import { amendedSeries, type Series, type SeriesRow } from "../../src/domain/Series.ts"

const LEGAL: ReadonlyArray<readonly [MessageState, MessageEvent, MessageState]> = [
  ["pending", "claim", "claimed"],
  ["pending", "cancel", "cancelled"],
  ["pending", "expire", "expired"],
  ["claimed", "complete", "completed"],
  ["claimed", "skip", "skipped"],
  ["claimed", "fail", "failed"],
  ["claimed", "retry", "pending"],
  ["claimed", "release", "pending"],
  ["claimed", "cancel-running", "cancelled"],
]

const refused = (state: MessageState, event: MessageEvent): IllegalTransition => {
  const result = transition(state, event)
  assert.isTrue(Result.isFailure(result), `${event} of ${state} must be refused`)
  return Result.getOrThrow(Result.flip(result))
}

/** The compiler is the test: each of these goes around a table, and none may compile. */
export const forged = {
  // @ts-expect-error a state that no event led to
  message: (before: Message): MessageRow => ({ ...before, state: "completed" }),
  // @ts-expect-error a row of the table with another state
  amended: (before: Message): MessageRow => ({ ...amended(before, {}), state: "completed" }),
  // @ts-expect-error no patch has a state
  patch: (before: Message): MessageRow => amended(before, { state: "completed" }),
  // @ts-expect-error a state that no event led to
  series: (before: Series): SeriesRow => ({ ...before, status: "paused" }),
  // @ts-expect-error a row of the table with another state
  amendedSeries: (before: Series): SeriesRow => ({ ...amendedSeries(before, {}), status: "paused" }),
}

describe("a message", () => {
  it("moves as the table says, and in no other way", () => {
    for (const state of MessageState.literals) {
      for (const event of MessageEvent.literals) {
        const legal = LEGAL.find(([from, how]) => from === state && how === event)
        if (legal === undefined) refused(state, event)
        else assert.deepStrictEqual(transition(state, event), Result.succeed(legal[2]))
      }
    }
  })

  it("that is claimed can't be cancelled, expired or claimed again, and the refusal says what to do", () => {
    assert.include(refused("claimed", "cancel").message, "--running")
    assert.include(refused("claimed", "claim").message, "claimed already")
    assert.strictEqual(refused("claimed", "expire").state, "claimed")
  })

  it("fails only after a container claimed it", () => {
    const error = refused("pending", "fail")
    assert.instanceOf(error, IllegalTransition)
    assert.deepInclude(error, { state: "pending", event: "fail" })
  })

  it.prop(
    "that has ended stays what it is, whatever comes after",
    { events: Schema.Array(MessageEvent).check(Schema.isMaxLength(30)) },
    ({ events }) => {
      let state: MessageState = "pending"
      let ended: MessageState | null = null
      for (const event of events) {
        state = Result.getOrElse(transition(state, event), () => state)
        if (ended !== null) assert.strictEqual(state, ended)
        if (isTerminal(state)) ended = state
      }
    },
  )
})
