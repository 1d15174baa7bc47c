/** The runner's parts that need no process: what a turn takes, when a look reads, what a command's output means, texts and times. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Schema } from "effect"
import { type Choice, chooseBatch, type Heading, isContext } from "../../container/agent-runner/Batch.ts"
import { parseInstant, wallClock } from "../../container/agent-runner/ExchangeTime.ts"
import { Inbox } from "../../container/agent-runner/Inbox.ts"
import { MAX_CONTENT_BYTES, textContent } from "../../container/agent-runner/Outbox.ts"
import { CommandOutput } from "../../container/agent-runner/providers/CommandOutput.ts"
import { RunnerPair } from "../support/RunnerPair.ts"

const NOW_MS = Date.parse("2026-11-21T10:00:00Z")

const GeneratedRow = Schema.Struct({
  kind: Schema.Literals(["chat", "task", "webhook", "system"]),
  processAfter: Schema.NullOr(
    Schema.Literals([
      "2026-11-21 09:00:00",
      "2026-11-21T11:00:00Z",
      "2020-01-01T00:00:00+01:00[Europe/Paris]",
    ]),
  ),
  tries: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })),
  acked: Schema.Literals(["none", "unknown", 0, 1, 2]),
  trigger: Schema.Literals([0, 1]),
  onWake: Schema.Literals([0, 1]),
  platformId: Schema.NullOr(Schema.Literals(["A", "B"])),
  contentBytes: Schema.Int.check(Schema.isBetween({ minimum: 2, maximum: 3_000_000 })),
})
const GeneratedRows = Schema.Array(GeneratedRow).check(Schema.isMaxLength(40))

describe("chooseBatch", () => {
  it.prop(
    "takes only what it may, oldest first, one conversation or one task, within its limits",
    [GeneratedRows, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))],
    ([generated, maxTriggers]) => {
      const rows = generated.map((row, index) => ({
        ...row,
        id: `m${index}`,
        seq: 2 * index,
        channelType: row.platformId === null ? null : "chat",
        threadId: null,
      }))
      const byId = new Map(rows.map((row) => [row.id, row]))
      const shownFirst = new Set(rows.filter((_, index) => index % 2 === 0).map((row) => row.id))
      const { choice, nextDueAtMs } = chooseBatch(rows, {
        nowMs: NOW_MS,
        maxTriggers,
        wakeIds: shownFirst,
        ackedTries: (id) => {
          const acked = byId.get(id)?.acked
          return acked === "none" ? undefined : acked === "unknown" ? null : acked
        },
      })
      const open = rows.filter(
        (row) =>
          (row.processAfter === null || row.processAfter === "2026-11-21 09:00:00") &&
          (row.onWake === 0 || shownFirst.has(row.id)) &&
          (row.acked === "none" || (row.acked !== "unknown" && row.tries > row.acked)),
      )
      const waits = rows.some(
        (row) => row.processAfter === "2026-11-21T11:00:00Z" && (row.onWake === 0 || shownFirst.has(row.id)),
      )
      assert.strictEqual(nextDueAtMs, waits ? NOW_MS + 3_600_000 : null)
      const oldest = open.find((row) => !isContext(row))
      if (oldest === undefined) {
        assert.isNull(choice)
        return
      }
      assert.isNotNull(choice)
      const { triggers, context } = choice as Choice
      assert.strictEqual(triggers[0]?.id, oldest.id)
      const ids = new Set(open.map((row) => row.id))
      for (const row of [...triggers, ...context])
        assert.isTrue(ids.has(row.id), `${row.id} may not be taken`)
      assert.isTrue(triggers.every((row) => !isContext(row)) && context.every(isContext))
      assert.isTrue(isAscending(triggers) && isAscending(context))
      assert.isAtMost(triggers.length, maxTriggers)
      assert.isTrue(triggers.every((row) => row.platformId === oldest.platformId))
      if (oldest.kind === "task") assert.strictEqual(triggers.length, 1)
      else assert.isTrue(triggers.every((row) => row.kind !== "task"))
      if (triggers.length > 1) assert.isAtMost(bytesOf(triggers), 4 * 1024 * 1024)
      if (context.length > 1) assert.isAtMost(bytesOf(context), 1024 * 1024)
    },
  )
})

const isAscending = (rows: ReadonlyArray<Heading>): boolean =>
  rows.every((row, index) => index === 0 || row.seq > (rows[index - 1]?.seq ?? 0))

const bytesOf = (rows: ReadonlyArray<Heading>): number => rows.reduce((sum, row) => sum + row.contentBytes, 0)

describe("a look at the inbox", () => {
  it("does not read a file that has not changed for a while, unless something comes due or was forgotten", async () => {
    await using pair = new RunnerPair()
    const time = vi.spyOn(performance, "now")
    try {
      const inbox = new Inbox(pair.inboundPath)
      const look = (atMs: number, nowMs = NOW_MS): string => {
        time.mockReturnValue(atMs)
        return inbox.look({ nowMs, maxTriggers: 10, ackedTries: () => undefined }).kind
      }
      assert.strictEqual(look(0), "nothing")
      assert.strictEqual(look(1_000), "nothing", "just changed: its times may still be coarse")
      assert.strictEqual(look(3_000), "unchanged")
      pair.send({ id: "m1", seq: 2, content: "x", processAfter: "2026-11-21T10:00:05Z" })
      assert.strictEqual(look(3_100), "nothing")
      assert.strictEqual(look(5_050), "nothing")
      assert.strictEqual(look(6_000), "unchanged")
      assert.strictEqual(look(8_000, NOW_MS + 5_000), "batch")
      assert.strictEqual(look(15_100), "unchanged")
      inbox.forget()
      assert.strictEqual(look(15_200), "nothing")
      assert.strictEqual(look(25_300), "nothing", "read again now and then, whatever stat says")
    } finally {
      time.mockRestore()
    }
  })
})

describe("the output of a command", () => {
  const Line = Schema.Literals([
    "",
    "plain",
    "::lamplighter",
    "::lamplighter::doorbell",
    '::lamplighter::outbound {"content":"hi"}',
    '::lamplighter::outbound {"content":"hi","platformId":"x"}',
    "::lamplighter::outbound [1]",
    '::lamplighter::system {"action":"a"}',
    '::lamplighter::system {"no":1}',
    ' ::lamplighter::outbound {"content":"indented"}',
  ])

  it.prop(
    "means the same in whatever pieces it arrives, and loses no line",
    [
      Schema.Array(Line).check(Schema.isMaxLength(20)),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 }))).check(
        Schema.isMaxLength(40),
      ),
    ],
    ([lines, cuts]) => {
      const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true)
      try {
        const rows = new Set([
          '::lamplighter::outbound {"content":"hi"}',
          '::lamplighter::system {"action":"a"}',
        ])
        const drafts: Array<string> = []
        const output = new CommandOutput((draft) => drafts.push(draft.content))
        let rest = lines.join("\n")
        for (const cut of cuts) {
          output.push(rest.slice(0, cut))
          rest = rest.slice(cut)
        }
        output.push(rest)
        const answer = output.end()
        assert.strictEqual(
          answer,
          lines
            .map((line, index) => (rows.has(line) ? "" : line + (index === lines.length - 1 ? "" : "\n")))
            .join("")
            .trimEnd(),
        )
        assert.deepEqual(
          drafts,
          lines
            .filter((line) => rows.has(line))
            .map((line) => (line.includes("system") ? '{"action":"a"}' : '{"text":"hi"}')),
        )
      } finally {
        stderr.mockRestore()
      }
    },
  )
})

describe("an answer", () => {
  it("is JSON within the limit, whatever its letters need", () => {
    for (const letter of ["a", '"', "\u0001", "é", "𝄞", "\ud834"]) {
      for (const length of [MAX_CONTENT_BYTES / 8, MAX_CONTENT_BYTES - 11, MAX_CONTENT_BYTES + 1]) {
        const content = textContent(letter.repeat(length))
        assert.isAtMost(Buffer.byteLength(content), MAX_CONTENT_BYTES)
        const { text } = JSON.parse(content) as { text: string }
        assert.isTrue(text === letter.repeat(length) || text.endsWith("than a message can be.]"))
      }
    }
  })
})

describe("a time", () => {
  const samples = [
    ["2026-11-21 09:00:00", "2026-11-21T09:00:00.000Z"],
    ["2026-11-21T09:00", "2026-11-21T09:00:00.000Z"],
    ["2026-11-21", "2026-11-21T00:00:00.000Z"],
    ["2026-11-21T09:00:00.123456+0130", "2026-11-21T07:30:00.123Z"],
    ["2026-11-21t09:00:00z", "2026-11-21T09:00:00.000Z"],
    ["2026-11-21T09:00:00Z[UTC]", null],
    ["2026-13-21T09:00:00Z", null],
    ["1795251600", null],
    ["tomorrow", null],
    ["", null],
  ] as const
  for (const [text, instant] of samples) {
    it(`'${text}' is ${instant ?? "no instant"}`, () => {
      const at = parseInstant(text)
      assert.strictEqual(at === null ? null : new Date(at).toISOString(), instant)
    })
  }

  it("is shown on the wall clock of its zone", () => {
    const midnight = Date.parse("2026-11-21T23:00:00Z")
    assert.strictEqual(wallClock("Europe/Paris")(midnight), "2026-11-22 00:00")
    assert.strictEqual(wallClock("Asia/Kathmandu")(midnight), "2026-11-22 04:45")
    assert.throws(() => wallClock("Nowhere/At_All"), RangeError)
  })
})
