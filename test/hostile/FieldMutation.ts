/** Mutates what a container may write into a field: types, sizes, texts, times, ids of others, JSON of every shape. */
import Database from "better-sqlite3"
import { honestImage } from "./OutboundFile.ts"
import type { Random } from "./Random.ts"

type Value = null | number | bigint | string | Buffer

/** Ids of another session, which nothing written here may touch. */
export const VICTIM = { message: "victim-message", task: "victim-task", session: "s0" } as const

const COLUMNS = {
  messages_out: [
    "id",
    "seq",
    "in_reply_to",
    "timestamp",
    "deliver_after",
    "recurrence",
    "kind",
    "platform_id",
    "channel_type",
    "thread_id",
    "content",
  ],
  processing_ack: ["message_id", "status", "status_changed", "tries", "outcome", "detail"],
  session_state: ["key", "value", "updated_at"],
  container_state: ["current_tool", "tool_declared_timeout_ms", "tool_started_at", "updated_at"],
} as const

type Table = keyof typeof COLUMNS
const TABLES = Object.keys(COLUMNS) as ReadonlyArray<Table>

const NUMBERS: ReadonlyArray<Value> = [
  0,
  -1,
  1,
  2 ** 31,
  2 ** 53,
  9_007_199_254_740_993n,
  9_223_372_036_854_775_807n,
  -9_223_372_036_854_775_808n,
  1e308,
  -0.5,
  5e-324,
]

const LENGTHS = [0, 1, 63, 64, 65, 127, 128, 129, 1_023, 1_024, 1_025, 65_536, 262_145, 1_048_577] as const

const TIMES: ReadonlyArray<string> = [
  "2026-01-01 00:00:00",
  "2026-13-45T99:99:99Z",
  "+275760-09-13T00:00:00.001Z",
  "-271821-04-19T23:59:59Z",
  "9999-12-31T23:59:59.999Z",
  "1970-01-01T00:00:00+25:00",
  "2026-01-01T00:00:00.000000001Z",
  "2026-02-30T00:00:00Z",
  "now",
  "1e400",
  "2026-01-01T00:00:00[Europe/Paris]",
]

const NAMES: ReadonlyArray<string> = [
  "../../../etc/passwd",
  "a/b",
  ".",
  "..",
  "",
  " ",
  "con",
  "__proto__",
  "constructor",
  "a\0b",
  "a\nb",
  "é".repeat(40),
  "\u202egnp.exe",
  "'; DROP TABLE messages; --",
  VICTIM.message,
  VICTIM.task,
  VICTIM.session,
  "good-1",
  "m1",
]

const WORDS: ReadonlyArray<string> = [
  "chat",
  "system",
  "task",
  "webhook",
  "CHAT",
  "processing",
  "completed",
  "failed",
  "skipped",
  "pending",
  "Bash",
  "agent",
  "stdout",
  "* * * * *",
]

const json = (random: Random, depth: number): string => {
  const leaf = () =>
    random.pick([
      "null",
      "true",
      "1e400",
      "-0",
      "9007199254740993",
      `"${"\\ud800"}"`,
      `"\\u0000"`,
      `""`,
      JSON.stringify(random.pick(NAMES)),
      JSON.stringify(random.pick(TIMES)),
    ])
  if (depth === 0) return leaf()
  const some = () => Array.from({ length: random.below(4) }, () => json(random, depth - 1))
  const keys = ["text", "action", "taskId", "retryable", "error", "result", "__proto__", "toString", "files"]
  switch (random.below(4)) {
    case 0:
      return `[${some().join(",")}]`
    case 1:
      return `{${some()
        .map((value) => `${JSON.stringify(random.pick(keys))}:${value}`)
        .join(",")}}`
    case 2:
      return `${"[".repeat(random.below(2_000))}${leaf()}`
    default:
      return leaf()
  }
}

/** A system action whose fields are partly what they should be. */
const action = (random: Random): string => {
  const fields: Record<string, unknown> = {
    action: random.pick([
      "schedule_task",
      "cancel_task",
      "pause_task",
      "resume_task",
      "update_task",
      "install_packages",
      "",
    ]),
    taskId: random.pick([...NAMES, "t-1", 7, null]),
    prompt: random.pick(["x", "", null, 5, "y".repeat(200_000)]),
    processAfter: random.pick([...TIMES, null, 5]),
    recurrence: random.pick([
      "* * * * *",
      "*/0 * * * *",
      "0 0 30 2 *",
      "@yearly",
      `${"1,".repeat(5_000)}1 * * * *`,
      "* * * * * * * *",
      null,
      {},
    ]),
    platformId: random.pick(["p0", "p1", null, []]),
    channelType: random.pick(["stdout", "agent", null, 1]),
  }
  for (const name of Object.keys(fields)) if (random.once(6)) delete fields[name]
  return JSON.stringify(fields)
}

const text = (random: Random): string => {
  switch (random.below(6)) {
    case 0:
      return "x".repeat(random.pick(LENGTHS))
    case 1:
      return random.pick(NAMES)
    case 2:
      return random.pick(TIMES)
    case 3:
      return random.pick(WORDS)
    case 4:
      return json(random, 3)
    default:
      return action(random)
  }
}

const value = (random: Random): Value => {
  if (random.once(8)) return null
  if (random.once(5)) return random.pick(NUMBERS)
  if (random.once(6)) return random.bytes(random.below(200))
  return text(random)
}

const plain: Readonly<Record<Table, (name: string) => Readonly<Record<string, Value>>>> = {
  messages_out: (name) => ({
    id: name,
    timestamp: "2026-01-01T00:00:00Z",
    kind: "chat",
    content: `{"text":"x"}`,
  }),
  processing_ack: (name) => ({
    message_id: name,
    status: "processing",
    status_changed: "2026-01-01T00:00:00Z",
  }),
  session_state: (name) => ({ key: name, value: "v", updated_at: "2026-01-01T00:00:00Z" }),
  container_state: () => ({ current_tool: "Bash", updated_at: "2026-01-01T00:00:00Z" }),
}

export interface FieldMutations {
  readonly image: Buffer
  /** Fields that SQLite took: one that breaks a constraint of the schema is tried again as something else. */
  readonly written: number
}

/** An honest file and `count` rows more, each with one field that is not as it should be; sometimes a column takes any type. */
export const mutateFields = (random: Random, count: number, first: number): FieldMutations => {
  const database = new Database(honestImage())
  let written = 0
  try {
    database.exec("BEGIN")
    for (let n = 0; written < count && n < 5 * count; n++) {
      const table = random.pick(TABLES)
      const fields: Record<string, Value> = { ...plain[table](`mutant-${first}-${n}`) }
      fields[random.pick(COLUMNS[table])] = value(random)
      if (table === "messages_out" && random.once(6)) {
        fields["kind"] = "system"
        fields["content"] = action(random)
      }
      if (table === "processing_ack" && random.once(6)) fields["message_id"] = VICTIM.message
      const names = Object.keys(fields)
      // Text that is not UTF-8 gets in as a blob that says it is text.
      const places = names.map((name) =>
        Buffer.isBuffer(fields[name]) && random.once(2) ? "CAST(? AS TEXT)" : "?",
      )
      const id = table === "container_state" ? ["INSERT OR REPLACE", "id, ", "1, "] : ["INSERT", "", ""]
      try {
        database
          .prepare(
            `${id[0]} INTO ${table} (${id[1]}${names.join(", ")}) VALUES (${id[2]}${places.join(", ")})`,
          )
          .run(...names.map((name) => fields[name] ?? null))
        written += 1
      } catch (error) {
        if (!String(error).includes("constraint")) throw error
      }
    }
    database.exec("COMMIT")
    return { image: database.serialize(), written }
  } finally {
    database.close()
  }
}
