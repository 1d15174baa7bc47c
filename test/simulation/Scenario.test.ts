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
      const again = runScenario(scenario)
      assert.strictEqual(drawScenario(again), picture)
      assert.deepStrictEqual(tabulateScenario(again), tabulateScenario(report))
    })
  }
})

describe("a scenario", () => {
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
    assert.include(found, "a.yaml:3:6: foo: there is no such field")
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
