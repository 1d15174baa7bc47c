import { spawn } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { GroupId, IncarnationNumber, InstallId, SessionId } from "../../../src/domain/Ids.ts"
import { agentArguments, labelsOf } from "../../../src/layers/process/ProcessIdentity.ts"
import { parsePsLine, processTable, psTable } from "../../../src/layers/process/ProcessTable.ts"
import type { ContainerLabels } from "../../../src/services/ContainerRuntime.ts"

describe("ProcessTable", () => {
  for (const [name, make] of [
    ["of this platform", processTable],
    ["from ps", psTable],
  ] as const) {
    it(`finds this very process and its command line (${name})`, async () => {
      const table = make()
      const self = await table.find(process.pid)
      assert.strictEqual(self?.pid, process.pid)
      assert.strictEqual(self?.state, "running")
      const lines = await table.commandLines()
      const listed = lines.find(({ pid }) => pid === process.pid)
      assert.strictEqual(listed?.startTime, self?.startTime)
      assert.strictEqual(listed?.group, self?.group)
      assert.include(listed?.argv.join(" "), "node")
      assert.isUndefined(await table.find(2 ** 22 + 1))
    })

    it(`finds the members of a group (${name})`, async () => {
      const child = spawn("sleep", ["30"], { detached: true, stdio: "ignore" })
      const ended = new Promise((resolve) => child.once("exit", resolve))
      const pid = child.pid ?? 0
      const members = async () => (await make().belongingTo(pid, "NONE=1")).map((member) => member.pid)
      assert.deepStrictEqual(await members(), [pid])
      child.kill("SIGKILL")
      await ended
      assert.deepStrictEqual(await members(), [])
    })
  }

  it("reads a line of ps", () => {
    assert.deepStrictEqual(
      parsePsLine("  812   810 Ss   Tue Feb  3 04:05:06 2026 /usr/bin/node main.ts --install abc"),
      {
        pid: 812,
        group: 810,
        state: "running",
        startTime: "Tue-Feb-3-04:05:06-2026",
        argv: ["/usr/bin/node", "main.ts", "--install", "abc"],
      },
    )
    assert.strictEqual(parsePsLine("9 9 Z+ Tue Feb  3 04:05:06 2026 (node)")?.state, "ended")
    assert.isUndefined(parsePsLine("garbage"))
  })
})

describe("labelsOf", () => {
  const group = Schema.decodeSync(GroupId)("family")

  it.prop("reads back what agentArguments wrote", [InstallId, SessionId, IncarnationNumber], (ids) => {
    const [install, session, incarnation] = ids
    const labels: ContainerLabels = { install, group, session, incarnation }
    assert.deepStrictEqual(labelsOf(["node", "main.ts", ...agentArguments(labels)]), labels)
  })

  const ours = "node main.ts --install abcdefgh --group g --session S --incarnation 3"

  it("takes nothing else for one of ours", () => {
    assert.isDefined(labelsOf(ours.split(" ")))
    for (const line of [
      "",
      "grep -- --install",
      ours.replace("abcdefgh", "AB"),
      ours.replace("--incarnation 3", "--incarnation 3x"),
      ours.replace("--incarnation 3", "--incarnation"),
      ours.replace("--group g --session S", "--session S --group g"),
      ours.replace("--session S", "--session ../S"),
    ])
      assert.isUndefined(labelsOf(line.split(" ")), line)
  })
})
