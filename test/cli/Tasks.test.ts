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
    assert.strictEqual(new Date(updated.nextSlot).getUTCHours(), 12)
    assert.deepStrictEqual([updated.words, updated.next.length], ["at 12:00 (UTC)", 3])
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

  it("keeps a task's zone at an update of its schedule, and reads it in another on request", async () => {
    const zone = "Asia/Kolkata"
    await lamplighter.json("task", "add", "g1", "0 9 * * *", "report", "--id", "t9", "--zone", zone)
    const updated = await lamplighter.json("task", "update", "t9", "--schedule", "30 9 * * *")
    assert.deepInclude(updated.schedule, { expression: "30 9 * * *", zone })
    const moved = await lamplighter.json("task", "update", "t9", "--zone", "UTC")
    assert.strictEqual(new Date(moved.nextSlot).getUTCHours(), 9)
    const once = await lamplighter.json("task", "add", "g1", "in 9d", "later", "--id", "t10", "--zone", zone)
    assert.strictEqual(once.zone, zone)
    const listed = await lamplighter.json("task", "list", "--status", "active", "--limit", "1000")
    assert.includeMembers(
      listed.map(({ id }: { readonly id: string }) => id),
      ["t9", "t10"],
    )
    assert.deepStrictEqual(
      (await lamplighter.json("task", "list", "--after", "t1", "--limit", "1")).map(
        ({ id }: { readonly id: string }) => id,
      ),
      ["t10"],
    )
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

  it("takes every policy and bound, shows what differs from the defaults, and changes one without the others", async () => {
    const said = [
      "--overlap buffer-all --buffer-limit 5 --catch-up all --catch-up-window 2h --catch-up-cap 7 --stagger 30s",
      "--pause-after-failures 3 --start-to-close 10m --context isolated --isolated-retention 1h",
      "--retry-limit 2 --retry-base 1s --ttl 5m --priority high",
      "--start 2030-01-01T00:00:00Z --end 2030-12-31T00:00:00Z --max-runs 9 --jitter 1m",
      "--exclude 2030-01-02,2030-01-03",
    ].flatMap((words) => words.split(" "))
    const task = await lamplighter.json("task", "add", "g1", "0 9 * * *", "report", "--id", "t5", ...said)
    assert.deepInclude(task, { overlap: "buffer-all", catchUp: "all", ttlMs: 300_000, priority: 2 })
    assert.deepStrictEqual(task.bounds, {
      startAt: Date.parse("2030-01-01T00:00:00Z"),
      endAt: Date.parse("2030-12-31T00:00:00Z"),
      maxRuns: 9,
      exclusions: ["2030-01-02", "2030-01-03"],
      jitterMs: 60_000,
    })
    assert.deepStrictEqual(task.policy, {
      catchUpWindowMs: 7_200_000,
      catchUpCap: 7,
      staggerMs: 30_000,
      bufferLimit: 5,
      pauseAfterFailures: 3,
      startToCloseMs: 600_000,
      context: "isolated",
      isolatedRetentionMs: 3_600_000,
      retryLimit: 2,
      retryBaseMs: 1_000,
    })
    const shown = await lamplighter.run("task", "show", "t5")
    for (const part of ["buffer-all", "catchUpCap: 7", "2030-01-04T09:00:00.000Z"])
      assert.include(shown.stdout, part)
    const updated = await lamplighter.json("task", "update", "t5", "--start-to-close", "1m")
    assert.deepStrictEqual(updated.policy, { ...task.policy, startToCloseMs: 60_000 })
    assert.deepStrictEqual(updated.bounds, task.bounds)
    const { next } = await lamplighter.json("task", "preview", "t5", "--count", "2")
    assert.deepStrictEqual(next, ["2030-01-01T09:00:00.000Z", "2030-01-04T09:00:00.000Z"])
  }, 30_000)

  it("refuses policies that there are not, and bounds without a slot", async () => {
    for (const [words, named] of [
      [["--overlap", "sometimes"], "sometimes"],
      [["--stagger", "soon"], "soon"],
      [["--exclude", "tomorrow"], "tomorrow"],
      [["--max-runs", "0"], "max-runs"],
      [["--end", "2001-01-01T00:00:00Z"], "no slot"],
    ] as const) {
      const ran = await lamplighter.run("task", "add", "g1", "@daily", "x", "--id", "t6", ...words)
      assert.notStrictEqual(ran.code, 0, words.join(" "))
      assert.include(ran.stderr + ran.stdout, named)
    }
    assert.strictEqual((await lamplighter.run("task", "show", "t6")).code, 1)
  }, 30_000)

  it("backfills a range once under a name, and catches a pause up on request", async () => {
    await lamplighter.json("task", "add", "g1", "@daily", "count", "--id", "t7", "--overlap", "allow-all")
    const range = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-03T00:00:00Z"]
    assert.strictEqual((await lamplighter.json("task", "backfill", "t7", ...range, "--name", "b1")).length, 3)
    assert.strictEqual((await lamplighter.json("task", "backfill", "t7", ...range, "--name", "b1")).length, 0)
    await lamplighter.until(
      () => lamplighter.json("runs", "--task", "t7", "--outcome", "completed"),
      (runs) => runs.length >= 3,
    )
    const paused = await lamplighter.json("task", "pause", "t7", "--note", "repairs")
    assert.deepInclude(paused, { status: "paused", note: "repairs" })
    assert.strictEqual((await lamplighter.json("task", "resume", "t7", "--catch-up")).status, "active")
  }, 40_000)
})
