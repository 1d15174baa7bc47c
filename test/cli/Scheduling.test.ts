/** What the policies of tasks do, seen as a user sees it: by the history that real agents in real processes leave. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { once } from "node:events"
import type { ChildProcess } from "node:child_process"
import { commandLine } from "../support/CommandLine.ts"

interface Run {
  readonly outcome: string
  readonly slot: number
  readonly messageId: string | null
  readonly count: number
  readonly error: string | null
  readonly result: string | null
  readonly logFile: string | null
  readonly incarnation: number
}

const lamplighter = commandLine()
const { json } = lamplighter
let daemon: ChildProcess

const addGroup = (id: string, command: string, policy: object = {}) =>
  json(
    "group",
    "add",
    id,
    "--command",
    JSON.stringify(["bash", "-c", command]),
    "--policy",
    JSON.stringify(policy),
  )

/** The runs of a task, oldest first, once they are as they should be. */
const runsOf = (task: string, hold: (runs: ReadonlyArray<Run>) => boolean): Promise<ReadonlyArray<Run>> =>
  lamplighter.until(async () => (await json("runs", "--task", task)).toReversed(), hold)

const ended = (count: number) => (runs: ReadonlyArray<Run>) =>
  runs.filter(({ outcome }) => outcome !== "overlap" && outcome !== "missed").length >= count

/** All of them at work beside each other while the tests look at one after another. */
beforeAll(async () => {
  await lamplighter.run("init", "--group", "g1")
  daemon = await lamplighter.up()
  await addGroup("slow", "cat > /dev/null; sleep 3; echo done", { idleMs: 1_000 })
  await addGroup("crash", "kill -9 $PPID", { retryLimit: 0 })
  const add = (group: string, id: string, ...words: ReadonlyArray<string>) =>
    json("task", "add", group, "every 1s", "tick", "--id", id, ...words)
  await add("slow", "skip", "--context", "isolated", "--max-runs", "2")
  await add("slow", "cancel", "--context", "isolated", "--max-runs", "3", "--overlap", "cancel-other")
  await add("slow", "close", "--context", "isolated", "--max-runs", "1", "--start-to-close", "1s")
  const script = `echo '{"wakeAgent": false, "reason": "nothing new"}'`
  await add("g1", "gated", "--script", script, "--max-runs", "2", "--overlap", "buffer-all")
  await add("crash", "dies", "--pause-after-failures", "2", "--overlap", "buffer-all")
}, 60_000)
afterAll(() => lamplighter.close())

describe("policies of a task", { timeout: 60_000 }, () => {
  it("overlap skip records the slots that came too early, in one row with a count", async () => {
    const runs = await runsOf("skip", ended(2))
    assert.deepStrictEqual(
      runs.map(({ outcome }) => outcome),
      ["overlap", "completed", "completed"],
    )
    assert.isAtLeast(runs[0]?.count ?? 0, 2)
  })

  it("overlap cancel-other cancels what runs, and only the last completes", async () => {
    const runs = await runsOf("cancel", ended(3))
    assert.deepStrictEqual(
      runs.map(({ outcome }) => outcome),
      ["cancelled", "cancelled", "completed"],
    )
    assert.include(runs[0]?.error, "cancel-other")
  })

  it("start-to-close cancels a run that takes longer", async () => {
    const [run] = await runsOf("close", ended(1))
    assert.strictEqual(run?.outcome, "cancelled")
    assert.include(run?.error, "startToCloseMs")
  })

  it("a script gates each occurrence, and equal answers are one row with a count", async () => {
    const [run, ...others] = await runsOf("gated", (runs) => runs[0]?.count === 2)
    assert.deepInclude(run, { outcome: "skipped", result: "nothing new", error: null })
    assert.isEmpty(others)
  })

  it("pauses after failures, and each failed run names the log of the life that it ended", async () => {
    const failed = (runs: ReadonlyArray<Run>) => runs.filter(({ outcome }) => outcome === "failed")
    const runs = await runsOf(
      "dies",
      (all) => failed(all).length >= 2 && failed(all).every(({ logFile }) => logFile !== null),
    )
    assert.strictEqual(failed(runs).length, 2)
    for (const { incarnation, logFile } of failed(runs))
      assert.match(logFile ?? "", new RegExp(`-${incarnation}\\.log$`))
    const { task } = await json("task", "show", "dies")
    assert.strictEqual(task.status, "paused")
    assert.include(task.note, "2 failed runs in a row")
  })

  it("an agent schedules a task, asks for it, and is told why another is refused", async () => {
    // What follows "DO:" in a prompt is its action; what it is told it says.
    await json(
      "group",
      "add",
      "agent",
      "--command",
      JSON.stringify([
        "sed",
        "-n",
        "s/^.*DO: /::lamplighter::system /p;t;s/^.*\\(mine\\|never\\)/told \\1/p",
      ]),
    )
    const asked = (action: object) => json("send", "agent", `DO: ${JSON.stringify(action)}`)
    await asked({ action: "schedule_task", taskId: "mine", prompt: "hello", recurrence: "0 9 * * 1-5" })
    await asked({ action: "list_tasks" })
    await asked({ action: "schedule_task", taskId: "never", prompt: "x", recurrence: "0 0 30 2 *" })
    const notices = await lamplighter.until(
      async () => {
        const rows = await json("messages", "list", "--limit", "1000")
        const texts = rows.flatMap(({ content, id }: { readonly content: string; readonly id: string }) =>
          id.startsWith("notice-") && /mine|never/.test(content) ? [String(JSON.parse(content).text)] : [],
        )
        return texts as ReadonlyArray<string>
      },
      (texts) => texts.length === 3,
    )
    const said = notices.join("\n")
    assert.include(said, "schedule_task mine is done: at 09:00 on Monday to Friday (UTC); next: ")
    assert.include(said, "mine (revision 1): at 09:00 on Monday to Friday (UTC)")
    assert.include(said, "schedule_task never was refused")
    assert.strictEqual((await json("task", "show", "mine")).task.status, "active")
  })

  it("an occurrence that nothing claims in time expires, and its task goes on", async () => {
    await json("group", "add", "held")
    const { message } = await json("send", "held", "hello")
    await json("session", "hold", message.sessionId)
    await json(
      "task",
      "add",
      "held",
      "every 1s",
      "tick",
      "--id",
      "expires",
      "--ttl",
      "200ms",
      "--overlap",
      "allow-all",
    )
    const [run] = await runsOf("expires", (runs) => (runs[0]?.count ?? 0) >= 2)
    assert.deepInclude(run, { outcome: "expired" })
    assert.strictEqual((await json("task", "show", "expires")).task.status, "active")
    await json("task", "cancel", "expires")
  })
})

describe("catch-up after the daemon was down", () => {
  it("runs one for all, the last ones, or none, and records the others", { timeout: 90_000 }, async () => {
    const add = (id: string, ...words: ReadonlyArray<string>) =>
      json("task", "add", "g1", "every 2s", "tick", "--id", id, "--overlap", "allow-all", ...words)
    const all = await add("all", "--catch-up", "all", "--catch-up-cap", "2")
    await add("latest", "--catch-up", "latest")
    const before = Math.max(all.nextSlot, Date.now())
    const gone = once(daemon, "exit")
    daemon.kill("SIGTERM")
    await gone
    // Slots pass while nothing runs: the ledger's own clock is the only one that matters here.
    await lamplighter.until(
      async () => Date.now(),
      (now) => now > before + 9_000,
    )
    daemon = await lamplighter.up()
    for (const [task, most] of [
      ["all", 2],
      ["latest", 1],
    ] as const) {
      const runs = await runsOf(task, (rows) => {
        const missed = rows.findIndex(({ outcome }) => outcome === "missed")
        return missed >= 0 && rows.length > missed + most
      })
      const missed = runs.find(({ outcome }) => outcome === "missed")
      assert.isAtLeast(missed?.count ?? 0, 2, task)
      assert.include(missed?.error, "not running")
      const slots = runs.flatMap(({ messageId, slot }) => (messageId === null ? [] : [slot]))
      assert.strictEqual(new Set(slots).size, slots.length, "no slot runs twice")
      await json("task", "cancel", task)
    }
  })
})
