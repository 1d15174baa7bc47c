/** Recurring tasks, as a user adds, watches, changes and ends them. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { commandLine } from "../support/CommandLine.ts"

const lamplighter = commandLine()
beforeAll(async () => {
  await lamplighter.run("init", "--group", "g1")
  await lamplighter.up()
}, 30_000)
afterAll(() => lamplighter.close())

describe("tasks", () => {
  it("runs a task on its grid, and shows its words, next instants and runs", async () => {
    const task = await lamplighter.json("task", "add", "g1", "every 1s", "tick", "--id", "t1")
    assert.strictEqual(task.status, "active")
    await lamplighter.until(
      () => lamplighter.json("runs", "--task", "t1", "--outcome", "completed"),
      (runs) => runs.length >= 2,
    )
    const report = await lamplighter.json("task", "show", "t1")
    assert.strictEqual(report.next.length, 3)
    assert.isAtLeast(report.runs.length, 2)
    const shown = await lamplighter.run("task", "show", "t1")
    assert.match(shown.stdout, /runs: .*✓/)
  })

  it("pauses with nothing fired meanwhile, resumes, and cancels for good", async () => {
    await lamplighter.json(
      "task",
      "add",
      "g1",
      "0 9 * * 1-5",
      "report",
      "--id",
      "t2",
      "--zone",
      "America/New_York",
    )
    assert.strictEqual((await lamplighter.json("task", "pause", "t2")).status, "paused")
    assert.deepStrictEqual((await lamplighter.json("task", "show", "t2")).next, [])
    assert.strictEqual((await lamplighter.json("task", "resume", "t2")).status, "active")
    assert.strictEqual((await lamplighter.json("task", "cancel", "t2")).status, "cancelled")
    const again = await lamplighter.run("task", "resume", "t2")
    assert.strictEqual(again.code, 1)
    assert.include(again.stderr, "cancelled")
  })

  it("moves to the new grid at an update, and refuses one that did not see the last", async () => {
    const task = await lamplighter.json("task", "add", "g1", "@daily", "report", "--id", "t3")
    const updated = await lamplighter.json(
      "task",
      "update",
      "t3",
      "--schedule",
      "0 12 * * *",
      "--prompt",
      "new",
      "--revision",
      String(task.revision),
    )
    assert.deepInclude(updated, { prompt: "new", revision: task.revision + 1 })
    assert.strictEqual(new Date(updated.nextSlot).getUTCMinutes(), 0)
    const stale = await lamplighter.run(
      "task",
      "update",
      "t3",
      "--prompt",
      "other",
      "--revision",
      String(task.revision),
    )
    assert.strictEqual(stale.code, 1)
    assert.include(stale.stderr, "revision 2")
  })

  it("runs one now, beside its schedule", async () => {
    await lamplighter.json("task", "add", "g1", "@yearly", "happy new year", "--id", "t4")
    const message = await lamplighter.json("task", "run", "t4")
    const report = await lamplighter.until(
      () => lamplighter.json("messages", "show", message.id),
      ({ message: { state } }) => state === "completed",
    )
    assert.isNull(report.message.slot)
  })

  it("previews any schedule without a daemon", async () => {
    const from = ["--from", "2026-03-07T12:00:00Z", "--tz", "America/New_York"]
    assert.deepStrictEqual(await lamplighter.json("next", "30 2 * * *", ...from, "--count", "2"), {
      next: ["2026-03-08T07:00:00.000Z", "2026-03-09T06:30:00.000Z"],
    })
  })
})
