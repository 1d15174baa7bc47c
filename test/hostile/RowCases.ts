/** The file is what the host made; what stands in its rows is not. */
import { assert } from "@effect/vitest"
import { type HostileCase, hostile } from "./HostileCase.ts"
import { execute, GOOD_ROWS, row, rows } from "./OutboundFile.ts"

const sql =
  (...statements: ReadonlyArray<string>) =>
  ({ outbound }: { readonly outbound: string }) =>
    execute(outbound, ...statements)

const ids = (reading: { readonly outbound: ReadonlyArray<{ readonly id: string }> }) =>
  reading.outbound.map(({ id }) => String(id))

/** One bad row is refused with a reason, and the honest ones are there all the same. */
const refused = (name: string, ...statements: ReadonlyArray<string>): HostileCase =>
  hostile(name, "read", sql(...statements), {
    check: (reading) => {
      assert.includeMembers(ids(reading), [...GOOD_ROWS])
      assert.isAtLeast(reading.rejected.length, 1)
      for (const { reason } of reading.rejected) assert.isAbove(reason.length, 5)
    },
  })

/** Odd, and taken; the check says how. */
const taken = (
  name: string,
  check: NonNullable<HostileCase["check"]>,
  ...statements: ReadonlyArray<string>
): HostileCase => hostile(name, "read", sql(...statements), { check })

const outbound = (columns: string, values: string) =>
  `INSERT INTO messages_out (id, timestamp, kind, content, ${columns}) VALUES ('bad', '2026-01-01T00:00:00Z', 'chat', '{}', ${values})`
const ack = (id: string, status: string, changed = "'2026-01-01T00:00:00Z'") =>
  `INSERT INTO processing_ack (message_id, status, status_changed) VALUES (${id}, ${status}, ${changed})`
const text = (megabytes: number) => `hex(zeroblob(${megabytes * 524_288}))`

export const rowCases: ReadonlyArray<HostileCase> = [
  ...["'tomorrow'", text(1)].map((value) =>
    taken(
      `a deliver_after that is no time: ${value.slice(0, 10)}`,
      (reading) => {
        const bad = reading.outbound.find(({ id }) => id === "bad")
        assert.include(bad?.unreadable, "deliver_after", "it goes on, to be refused where its agent sees it")
        assert.isBelow(bad?.unreadable?.length ?? 0, 500)
      },
      outbound("deliver_after", value),
    ),
  ),
  refused("content that is no JSON", row("'bad'", "'{not json'")),
  refused("content that is a blob", row("'bad'", "x'7b7d'")),
  refused("content that is a number", row("'bad'", "42").replace("42", "CAST(x'ff' AS BLOB)")),
  refused("content that is not UTF-8", row("'bad'", "CAST(x'22fffe22' AS TEXT) || char(0)")),
  refused("content of two megabytes", row("'bad'", `'"' || ${text(2)} || '"'`)),
  refused("content of fifty megabytes", row("'bad'", `'"' || ${text(50)} || '"'`)),
  refused("an id that climbs", row("'../../etc/passwd'")),
  refused("an id with a NUL", row("'a' || char(0) || 'b'")),
  refused("an id that is a blob", row("x'62616400'")),
  refused("an id of a kilobyte", row(`'${"i".repeat(1_024)}'`)),
  refused("an id that is NULL", row("NULL")),
  refused("a seq beyond 2^53", outbound("seq", "9007199254740993")),
  refused("a seq below zero", outbound("seq", "-1")),
  refused("a seq that is text", outbound("seq", "'seven'")),
  refused("a destination of a megabyte", outbound("platform_id", text(1))),
  refused("a kind of a kilobyte", row("'bad'").replace("'chat'", `'${"k".repeat(1_024)}'`)),
  refused("an ack of a status that does not exist", ack("'m3'", "'done'")),
  refused("an ack whose id climbs", ack("'../m3'", "'completed'")),
  refused(
    "an ack whose tries are beyond belief",
    ack("'m3'", "'processing'"),
    "UPDATE processing_ack SET tries = 9223372036854775807 WHERE message_id = 'm3'",
  ),
  refused("a declared timeout below zero", "UPDATE container_state SET tool_declared_timeout_ms = -5"),
  refused("state of a megabyte", `INSERT INTO session_state VALUES ('big', ${text(1)}, '')`),
  taken(
    "content nested half a million deep",
    (reading) => assert.includeMembers(ids(reading), [...GOOD_ROWS]),
    row("'deep'", `replace(${text(1)}, '0', '[')`),
    row(
      "'shut'",
      `'{"a":' || replace(hex(zeroblob(200000)), '0', '[') || replace(hex(zeroblob(200000)), '0', ']') || '}'`,
    ),
  ),
  taken(
    "content that names __proto__",
    (reading) => assert.notProperty({}, "polluted", String(reading.outbound.length)),
    row("'proto'", `'{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'`),
  ),
  taken(
    "an answer to a message that can't exist",
    (reading) =>
      assert.deepStrictEqual(
        reading.outbound.map((sent) => sent.inReplyTo),
        [null, null, null],
      ),
    outbound("in_reply_to", "'../../nobody'"),
  ),
  taken(
    "times that are no times",
    (reading) =>
      assert.isTrue(reading.acks.some((found) => found.messageId === "m3" && found.changedAt === null)),
    ack("'m3'", "'processing'", "'99999-99-99'"),
    "UPDATE container_state SET tool_started_at = 'never'",
  ),
  taken(
    "a detail that is no JSON",
    (reading) =>
      assert.isTrue(reading.acks.some((found) => found.messageId === "m1" && found.status === "completed")),
    "UPDATE processing_ack SET detail = '{\"retryable\":'",
  ),
  taken(
    "a detail of two megabytes",
    (reading) =>
      assert.isTrue(reading.acks.some((found) => found.messageId === "m1" && found.detail.error !== null)),
    `UPDATE processing_ack SET detail = ${text(2)}`,
  ),
  taken(
    "more rows than a life may write",
    (reading) => {
      assert.isTrue(reading.outgrown)
      assert.isAtMost(reading.outbound.length, 10_000)
    },
    rows(20_000, {}),
  ),
  taken(
    "ten thousand system actions",
    (reading) => assert.isAtMost(reading.outbound.length, 10_000),
    rows(9_900, {
      kind: "'system'",
      content: `'{"action":"cancel_task","taskId":"t#"}'`,
    }),
  ),
  taken(
    "a million acks",
    (reading) => {
      assert.isTrue(reading.outgrown)
      assert.isAtMost(reading.acks.length, 10_000)
    },
    `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
     INSERT INTO processing_ack (message_id, status, status_changed) SELECT i, 'completed', '' FROM n`,
  ),
  taken(
    "a hundred thousand rows of state",
    (reading) => assert.isAtMost(reading.sessionState.length, 200),
    `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
     INSERT INTO session_state SELECT 'k' || i, 'v', '' FROM n`,
  ),
  taken(
    "forty rows of a megabyte",
    (reading) => assert.includeMembers(ids(reading), [...GOOD_ROWS]),
    rows(40, { content: `'{"a":"' || hex(zeroblob(520000)) || '"}'` }),
  ),
  taken(
    "forty rows of a megabyte of brackets",
    (reading) => assert.includeMembers(ids(reading), [...GOOD_ROWS]),
    rows(40, { content: `'[' || replace(hex(zeroblob(260000)), '00', '[],') || '0]'` }),
  ),
  taken(
    "ten thousand refused rows",
    (reading) => assert.isAtMost(reading.rejected.length, 101),
    rows(9_900, { id: "'../' || #" }),
  ),
]
