import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describeMistake, readScenario, type ReadScenario } from "../../src/testing/Scenario.ts"
import { drawScenario } from "../../src/testing/ScenarioPicture.ts"
import { runScenario } from "../../src/testing/ScenarioRun.ts"
import { tabulateScenario } from "../../src/testing/ScenarioTable.ts"

const folder = path.resolve(import.meta.dirname, "../../docs/scenarios")
const files = fs.readdirSync(folder).filter((name) => name.endsWith(".yaml"))

const read = (text: string): ReadScenario => {
  const scenario = readScenario(text)
  if (Result.isSuccess(scenario)) return scenario.success
  throw new Error(scenario.failure.map((mistake) => describeMistake("scenario", mistake)).join("\n"))
}

const mistakes = (text: string): ReadonlyArray<string> => {
  const scenario = readScenario(text)
  return Result.isSuccess(scenario)
    ? []
    : scenario.failure.map((mistake) => describeMistake("a.yaml", mistake))
}

/** Texts of a picture that reach over its edge in a wide font, or that only some fonts can show. */
const cut = (picture: string): ReadonlyArray<string> => {
  const width = Number(/ width="(\d+)"/.exec(picture)?.[1])
  return [...picture.matchAll(/<text x="([\d.]+)"[^>]*?( text-anchor="middle")?>([^<]*)<\/text>/g)].flatMap(
    ([, x, middle, text = ""]) => {
      const letters = text.length * 7.2
      const [from, to] = middle === undefined ? [0, letters] : [-letters / 2, letters / 2]
      const isInside = Number(x) + from >= 0 && Number(x) + to <= width
      return isInside && /^[\x20-\x7e…]*$/.test(text) ? [] : [`${text} at ${x}`]
    },
  )
}

const head = "name: a\nlasts: 10 minutes\n"
const bob = "sessions:\n  - { id: bob, agent: { behaves: healthy, works: 3s } }\n"

describe("the scenarios of docs/scenarios", () => {
  it("are those that the purpose of the daemon names", () => {
    assert.deepStrictEqual(files.sort(), [
      "broken-session.yaml",
      "failing-task.yaml",
      "hung-claims.yaml",
      "poison-message.yaml",
      "pruned-image.yaml",
      "silent-tool.yaml",
    ])
  })

  for (const file of files) {
    it(`${file} ends as it says, and looks the same twice`, () => {
      const scenario = read(fs.readFileSync(path.join(folder, file), "utf8"))
      assert.isAbove(scenario.expect?.length ?? 0, 0)
      const report = runScenario(scenario)
      assert.deepStrictEqual(report.disappointments, [])
      const picture = drawScenario(report)
      for (const { id } of scenario.sessions) assert.include(picture, `>${id}</text>`)
      assert.strictEqual(picture.match(/<svg/g)?.length, 1)
      assert.strictEqual(picture.match(/<text/g)?.length, picture.match(/<\/text>/g)?.length)
      assert.deepStrictEqual(cut(picture), [])
      const again = runScenario(scenario)
      assert.strictEqual(drawScenario(again), picture)
      assert.deepStrictEqual(tabulateScenario(again), tabulateScenario(report))
    })
  }
})

describe("a scenario", () => {
  it("says of a task what becomes of slots that overlap", () => {
    const occurrences = (overlap: string): number =>
      runScenario(
        read(
          "name: overlap\nlasts: 40 minutes\nstart: 2027-01-04T09:00:00Z\nsessions:\n" +
            "  - { id: bob, agent: { behaves: healthy, works: 12 minutes } }\n" +
            `tasks:\n  - { in: bob, id: tick, schedule: every 5m, overlap: ${overlap}, catchUp: skip }\n`,
        ),
      ).messages.length
    assert.isBelow(occurrences("skip"), occurrences("buffer-all"))
    const wrong = "tasks:\n  - { in: bob, id: t, schedule: every 5m, overlap: never }\n"
    assert.include(mistakes(`${head}${bob}${wrong}`).join(), "tasks[0].overlap")
  })

  it("draws each end of a message as a mark of its own, and keeps every text inside", () => {
    const report = runScenario(
      read(
        "name: marks\nlasts: 1h\nsessions:\n" +
          `  - { id: ${"w".repeat(60)}, agent: { behaves: healthy, works: 3s } }\n` +
          "  - { id: bob, agent: { behaves: fails, retryable: false, works: 3s } }\n" +
          "  - { id: eve, agent: { behaves: hangs } }\n" +
          `sends:\n  - { at: 1m, to: ${"w".repeat(60)}, id: done }\n` +
          "  - { at: 1m, to: bob, id: failed }\n  - { at: 1m, to: eve, id: hung }\n" +
          "  - { at: 2m, to: bob, id: cancelled, due: 30m }\n" +
          "operators:\n  - { at: 3m, does: cancel, message: cancelled }\n",
      ),
    )
    const picture = drawScenario(report)
    assert.deepStrictEqual(cut(picture), [])
    const shapeOf = (title: string): string =>
      new RegExp(`<path d="([^"]+)"[^>]*><title>${title} `).exec(picture)?.[1] ?? ""
    const shapes = ["done completed", "failed failed", "cancelled cancelled"].map(shapeOf)
    assert.notInclude(shapes, "")
    assert.strictEqual(new Set(shapes).size, shapes.length)
  })

  it("shows when a session waits, works, hangs, backs off and rests", () => {
    const report = runScenario(
      read(
        "name: lanes\nlasts: 12 minutes\npolicy: { idleMs: 30s }\nsessions:\n" +
          "  - { id: bob, agent: [{ behaves: hangs }, { behaves: healthy, works: 1 minute }] }\n" +
          "sends:\n  - { at: 1 minute, to: bob, id: m }\n",
      ),
    )
    const [lane] = report.lanes
    const states = (lane?.spans ?? []).map(({ state }) => state).filter((state) => state !== "waiting")
    assert.deepStrictEqual(
      states.filter((state, index) => state !== states[index - 1]),
      ["asleep", "stuck", "backoff", "running", "ready", "asleep"],
    )
    assert.deepStrictEqual(
      (lane?.marks ?? []).map(({ messageId, state }) => [messageId, state]),
      [["m", "completed"]],
    )
  })

  it("goes through an outage of the daemon itself, and loses nothing", () => {
    const report = runScenario(
      read(
        `${head}${bob}sends:\n  - { at: 1s, to: bob, id: m, every: 20s, times: 10 }\n` +
          "outages:\n  - { at: 30s, lasts: 2 minutes, what: daemon-down }\n  - { at: 3 minutes, lasts: 20s, what: disk-full }\n",
      ),
    )
    assert.deepStrictEqual(report.disappointments, [])
    assert.strictEqual(report.messages.length, 10)
    assert.isTrue(report.messages.every(({ state }) => state === "completed"))
  })

  it("says what was not as expected", () => {
    const report = runScenario(
      read(
        "name: unmet\nlasts: 30 minutes\nsessions:\n  - { id: bob, agent: { behaves: hangs } }\n" +
          "sends:\n  - { at: 1s, to: bob, id: m }\n" +
          "expect:\n  - { message: m, state: completed }\n  - { session: bob, livesAtMost: 2 }\n",
      ),
    )
    assert.deepStrictEqual(report.disappointments, [
      "expected the state of message m to be completed, and it is failed",
      "session bob had 6 lives, over 2",
    ])
    assert.include(tabulateScenario(report).join("\n"), "NOT AS EXPECTED: expected the state of message m")
  })

  it("tells every mistake with its line and column", () => {
    assert.deepStrictEqual(mistakes(head + bob), [])
    const found = mistakes(
      "name: a\nlasts: 1x\nfoo: 3\nsessions:\n  - id: bob!\n    agent: { behaves: heathy }\n",
    )
    assert.strictEqual(found.length, 4)
    assert.isTrue(found.some((line) => line.startsWith("a.yaml:2:8: lasts: a length of time")))
    assert.include(
      found,
      "a.yaml:3:6: foo: there is no such field; known here are name, about, start, lasts, zone, policy, sessions, sends, tasks, outages, operators, expect",
    )
    assert.isTrue(found.some((line) => line.startsWith("a.yaml:5:9: sessions[0].id: expected a session id")))
    assert.isTrue(found.some((line) => line.startsWith("a.yaml:6:23: sessions[0].agent.behaves: Expected")))
  })

  it("refuses what is not there, not meant, or said twice", () => {
    const cases: ReadonlyArray<readonly [text: string, mistake: string]> = [
      [
        `${head}${bob}sends:\n  - { at: 1s, to: eve, id: m }\n`,
        "a.yaml:6:19: sends[0].to: there is no session 'eve'",
      ],
      [
        `${head}${bob}sends:\n  - { at: 1s, to: bob, id: m, every: 1 }\n`,
        "a.yaml:6:38: sends[0].every: it would be sent more than 10000 times",
      ],
      [`${head}${bob}policy: { idleMs: soon }\n`, "a.yaml:5:19: policy.idleMs: a length of time"],
      [`${head}${bob}policy: { idleMs: "30" }\n`, "a.yaml:5:19: policy.idleMs: a length of time"],
      [`${head}zone: BST\n${bob}`, 'a.yaml:3:7: zone: "BST" is refused: there is no such time zone'],
      [`${head}${bob}policy: { idle: 3s }\n`, "a.yaml:5:17: policy.idle: there is no such field"],
      [
        `${head}${bob}operators:\n  - { at: 1s, does: hold }\n`,
        "a.yaml:6:5: operators[0]: it needs 'session'",
      ],
      [
        `${head}sessions:\n  - { id: a, agent: { behaves: hangs, code: 3 } }\n`,
        "a.yaml:4:21: sessions[0].agent: an agent that behaves 'hangs' has no 'code'",
      ],
      [`${head}${bob}expect:\n  - { state: completed }\n`, "a.yaml:6:5: expect[0]: it names a message"],
      [`${head}name: b\n${bob}`, "a.yaml:3:1: Map keys must be unique"],
      ["name: [", "a.yaml:1:8: Flow sequence"],
      ["", "a.yaml: Expected object"],
      [`${head}sessions: []\n`, "a.yaml:3:11: sessions: "],
      ["x: &a [1]\ny: [*a, *a, *a, *a]\n", "a.yaml:1:1: name: it is missing"],
    ]
    for (const [text, mistake] of cases) {
      const found = mistakes(text)
      assert.isTrue(
        found.some((line) => line.startsWith(mistake)),
        `${JSON.stringify(text)} gave ${JSON.stringify(found)}`,
      )
    }
  })
})

describe("lamplighter simulate", () => {
  const main = path.resolve(import.meta.dirname, "../../src/main.ts")
  const run = (cwd: string, ...words: ReadonlyArray<string>) =>
    new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
      execFile(process.execPath, [main, "simulate", ...words], { cwd }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
    })

  it("prints what happened, writes the picture, and fails when a scenario is wrong or not as expected", async () => {
    const cwd = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-simulate-"))
    try {
      const fine = await run(cwd, path.join(folder, "poison-message.yaml"))
      assert.strictEqual(fine.code, 0, fine.stderr)
      assert.match(fine.stdout, /poison +alice +failed +6 +6/)
      assert.include(fs.readFileSync(path.join(cwd, "poison-message.svg"), "utf8"), "<svg")

      fs.writeFileSync(path.join(cwd, "wrong.yaml"), `${head}sessions: 3\n`)
      const wrong = await run(cwd, "wrong.yaml")
      assert.notStrictEqual(wrong.code, 0)
      assert.include(wrong.stderr, "wrong.yaml:3:11: sessions:")
      assert.isFalse(fs.existsSync(path.join(cwd, "wrong.svg")))

      fs.writeFileSync(
        path.join(cwd, "unmet.yaml"),
        `${head}${bob}expect:\n  - { session: bob, livesAtLeast: 1 }\n`,
      )
      const unmet = await run(cwd, "unmet.yaml", "--picture", "drawn.svg")
      assert.notStrictEqual(unmet.code, 0)
      assert.include(unmet.stdout, "NOT AS EXPECTED: session bob had 0 lives, under 1")
      assert.isTrue(fs.existsSync(path.join(cwd, "drawn.svg")))
    } finally {
      fs.rmSync(cwd, { recursive: true, force: true })
    }
  })
})
