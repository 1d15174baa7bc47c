import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { MessageId } from "../../src/domain/Ids.ts"
import { MessageKind, MessageState } from "../../src/domain/Message.ts"
import { type AdmissionInput, type AdmissionRow, planAdmission } from "../../src/domain/Suspects.ts"

const NOW = 7

const message = (id: string, more: Partial<AdmissionRow> = {}): AdmissionRow => ({
  id: MessageId.make(id),
  state: "pending",
  kind: "chat",
  trigger: true,
  onWake: false,
  suspect: false,
  admittedIn: 0,
  ...more,
})
const suspect = (id: string, more: Partial<AdmissionRow> = {}) => message(id, { suspect: true, ...more })
const shown = (id: string, more: Partial<AdmissionRow> = {}) =>
  message(id, { state: "claimed", admittedIn: NOW, ...more })

const plan = (input: Partial<AdmissionInput>, maxAdmitted = 100) =>
  planAdmission(
    { due: [], shownOpen: [], incarnation: NOW, firstPoll: "no", runnerReoffers: true, ...input },
    { maxAdmitted },
  )

const admitted = (...ids: ReadonlyArray<string>) => ids.map((id) => MessageId.make(id))
const nothing = { admit: [], waitingForSolo: false, needsFresh: false }

describe("admission", () => {
  it("shows everything that is due, in its order", () => {
    assert.deepStrictEqual(plan({ due: [message("b"), message("a")] }), {
      ...nothing,
      admit: admitted("b", "a"),
    })
    assert.deepStrictEqual(plan({}), nothing)
  })

  it("shows no more than the limit, what is open already included and context rows not", () => {
    const due = [message("a"), message("b"), message("c")]
    assert.deepStrictEqual(plan({ due }, 2).admit, admitted("a", "b"))
    assert.deepStrictEqual(plan({ due, shownOpen: [shown("x")] }, 2).admit, admitted("a"))
    assert.deepStrictEqual(plan({ due, shownOpen: [shown("x"), shown("y")] }, 2).admit, [])
    assert.deepStrictEqual(plan({ due, shownOpen: [shown("x"), shown("y"), shown("z")] }, 2).admit, [])
    const context = [shown("x", { trigger: false }), shown("y", { kind: "system" })]
    assert.deepStrictEqual(plan({ due, shownOpen: context }, 2).admit, admitted("a", "b"))
  })

  it("shows on_wake rows on the first poll only", () => {
    const due = [message("w", { onWake: true }), message("a")]
    assert.deepStrictEqual(plan({ due, firstPoll: "yes" }).admit, admitted("w", "a"))
    assert.deepStrictEqual(plan({ due, firstPoll: "no" }), { ...nothing, admit: admitted("a") })
    assert.deepStrictEqual(plan({ due: [suspect("w", { onWake: true })] }), nothing)
  })

  it("shows nothing twice, and nothing that is not pending or never wakes", () => {
    const due = [
      message("open", { admittedIn: NOW }),
      message("context", { trigger: false }),
      message("system", { kind: "system" }),
      message("claimed", { state: "claimed" }),
      message("ended", { state: "completed" }),
    ]
    assert.deepStrictEqual(plan({ due, shownOpen: [message("open", { admittedIn: NOW })] }), nothing)
  })
})

describe("a suspect", () => {
  it("whose turn it is gets the container to itself, and the others wait", () => {
    assert.deepStrictEqual(plan({ due: [suspect("s"), message("a")] }), {
      admit: admitted("s"),
      waitingForSolo: true,
      needsFresh: false,
    })
    assert.deepStrictEqual(plan({ due: [suspect("s")] }), { ...nothing, admit: admitted("s") })
  })

  it("is offered one by one with other suspects", () => {
    assert.deepStrictEqual(plan({ due: [suspect("s"), suspect("t")] }).admit, admitted("s"))
  })

  it("whose turn it is lets nothing else be added until the container has nothing open", () => {
    const due = [suspect("s"), message("a")]
    const waiting = { admit: [], waitingForSolo: true, needsFresh: false }
    assert.deepStrictEqual(plan({ due, shownOpen: [shown("x")] }), waiting)
    assert.deepStrictEqual(plan({ due, shownOpen: [shown("x", { state: "pending" })] }), waiting)
    const context = [shown("x", { trigger: false })]
    assert.deepStrictEqual(plan({ due, shownOpen: context }).admit, admitted("s"))
  })

  it("that is open keeps everything else out", () => {
    const shownOpen = [shown("s", { suspect: true })]
    assert.deepStrictEqual(plan({ due: [message("a")], shownOpen }), {
      admit: [],
      waitingForSolo: true,
      needsFresh: false,
    })
    assert.deepStrictEqual(plan({ due: [], shownOpen }), nothing)
  })

  it("behind others waits for its turn while they are shown", () => {
    assert.deepStrictEqual(plan({ due: [message("a"), suspect("s"), message("b")] }), {
      admit: admitted("a", "b"),
      waitingForSolo: true,
      needsFresh: false,
    })
  })

  it("among context rows is no suspect: they never ran by themselves", () => {
    const shownOpen = [shown("c", { suspect: true, trigger: false })]
    assert.deepStrictEqual(plan({ due: [message("a")], shownOpen }).admit, admitted("a"))
  })
})

describe("a message that this incarnation tried before", () => {
  const again = message("again", { admittedIn: NOW })

  it("is shown again to a runner that looks twice", () => {
    assert.deepStrictEqual(plan({ due: [again] }), { ...nothing, admit: admitted("again") })
  })

  it("needs a fresh incarnation with any other runner, and holds up nobody", () => {
    assert.deepStrictEqual(plan({ due: [again, message("a")], runnerReoffers: false }), {
      admit: admitted("a"),
      waitingForSolo: false,
      needsFresh: true,
    })
    assert.deepStrictEqual(plan({ due: [again, suspect("s")], runnerReoffers: false }), {
      admit: admitted("s"),
      waitingForSolo: true,
      needsFresh: true,
    })
  })

  it("and was shown to an older one is plain work", () => {
    const older = message("older", { admittedIn: NOW - 1 })
    assert.deepStrictEqual(plan({ due: [older], runnerReoffers: false }), {
      ...nothing,
      admit: admitted("older"),
    })
  })

  it("and is a suspect whose turn it is lets the container drain for its replacement", () => {
    const due = [suspect("s", { admittedIn: NOW }), message("a")]
    assert.deepStrictEqual(plan({ due, runnerReoffers: false }), {
      admit: [],
      waitingForSolo: true,
      needsFresh: true,
    })
  })
})

describe("every admission", () => {
  const row = Schema.Struct({
    id: Schema.Literals(["a", "b", "c", "d", "e", "f"]),
    state: MessageState,
    kind: MessageKind,
    trigger: Schema.Boolean,
    onWake: Schema.Boolean,
    suspect: Schema.Boolean,
    admittedIn: Schema.Literals([0, NOW - 1, NOW]),
  })
  const generated = {
    due: Schema.Array(row).check(Schema.isMaxLength(6)),
    open: Schema.Array(row).check(Schema.isMaxLength(3)),
    firstPoll: Schema.Literals(["yes", "no"]),
    runnerReoffers: Schema.Boolean,
    maxAdmitted: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
  }
  type Generated = { readonly [Key in keyof typeof generated]: (typeof generated)[Key]["Type"] }
  const inputOf = (drawn: Generated): AdmissionInput => ({
    incarnation: NOW,
    firstPoll: drawn.firstPoll,
    runnerReoffers: drawn.runnerReoffers,
    due: drawn.due
      .filter((row, index) => drawn.due.findIndex((other) => other.id === row.id) === index)
      .map((row) => ({ ...row, id: MessageId.make(row.id) })),
    shownOpen: drawn.open.map((row, index) => ({
      ...row,
      state: "claimed",
      admittedIn: NOW,
      id: MessageId.make(`open${index}`),
    })),
  })
  const wakes = (row: AdmissionRow) => row.trigger && row.kind !== "system"

  it.prop(
    "leaves a suspect alone with the container, and keeps the limit and the order",
    generated,
    (drawn) => {
      const input = inputOf(drawn)
      const { admit } = planAdmission(input, drawn)
      const rows = input.due.filter((row) => admit.includes(row.id))
      const open = input.shownOpen.filter(wakes)
      assert.deepStrictEqual(
        rows.map((row) => row.id),
        [...admit],
      )
      assert.isTrue(rows.every((row) => row.state === "pending" && wakes(row)))
      if (rows.some((row) => row.suspect)) assert.strictEqual(rows.length + open.length, 1)
      if (rows.length > 0) {
        assert.isFalse(open.some((row) => row.suspect))
        assert.isAtMost(rows.length + open.length, Math.max(drawn.maxAdmitted, open.length + 1))
      }
    },
  )

  it.prop("never leaves an empty container idle beside work that it could do", generated, (drawn) => {
    const input = { ...inputOf(drawn), shownOpen: [] }
    const { admit, needsFresh } = planAdmission(input, drawn)
    const doable = input.due.some(
      (row) => row.state === "pending" && wakes(row) && (!row.onWake || drawn.firstPoll === "yes"),
    )
    if (doable && !needsFresh) assert.isAtLeast(admit.length, 1)
    if (!doable) assert.deepStrictEqual(planAdmission(input, drawn), nothing)
  })
})
