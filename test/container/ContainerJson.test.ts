/** container.json has one Schema on the host, and a reader of the runner's own: what the host writes, the runner must take. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { PROVIDERS, readConfiguration } from "../../container/agent-runner/Configuration.ts"
import { ContainerJson } from "../../src/domain/ContainerJson.ts"
import { GroupId } from "../../src/domain/Ids.ts"
import { parseZone } from "../../src/domain/Zone.ts"
import { builtInProviders } from "../../src/services/ProviderRegistry.ts"

const plain: ContainerJson = {
  provider: "command",
  command: ["cat"],
  providerTimeoutMs: null,
  model: null,
  assistantName: "Ada",
  groupName: "family",
  agentGroupId: GroupId.make("family"),
  maxMessagesPerPrompt: 10,
  zone: "UTC",
  mcpServers: {},
  skills: "all",
}

/** No generator guesses a zone. */
const Generated = Schema.Struct({ ...ContainerJson.fields, zone: Schema.Literal("UTC") })

const hostTakes = Schema.is(ContainerJson)

const file = path.join(
  fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-container-json-")),
  "container.json",
)

/** What the runner says against it; null: nothing. */
const runnerSays = (json: unknown): string | null => {
  fs.writeFileSync(file, JSON.stringify(json))
  try {
    readConfiguration({ LAMPLIGHTER_CONTAINER_JSON: file })
    return null
  } catch (error) {
    return String(error)
  }
}

const LONGEST_TIMER_MS = 2_147_483_647

/** At the limit and one beyond it. `both`: the runner refuses it too; `host`: only the host has that limit. */
const extremes: ReadonlyArray<
  readonly [Partial<Record<keyof ContainerJson, unknown>>, "taken" | "both" | "host"]
> = [
  [{ providerTimeoutMs: 1 }, "taken"],
  [{ providerTimeoutMs: LONGEST_TIMER_MS }, "taken"],
  [{ providerTimeoutMs: 0 }, "both"],
  [{ providerTimeoutMs: LONGEST_TIMER_MS + 1 }, "both"],
  [{ providerTimeoutMs: 2_592_000_000 }, "both"],
  [{ providerTimeoutMs: 1.5 }, "both"],
  [{ command: ["cat", ""] }, "taken"],
  [{ command: ["c".repeat(100_000)] }, "taken"],
  [{ command: ["c", "\u0001".repeat(99_999)] }, "taken"],
  [{ command: null, provider: "echo" }, "taken"],
  [{ command: ["c".repeat(100_001)] }, "host"],
  [{ command: [] }, "both"],
  [{ command: [""] }, "both"],
  [{ command: ["cat", "a\0b"] }, "both"],
  [{ command: ["cat", 5] }, "both"],
  [{ maxMessagesPerPrompt: 1 }, "taken"],
  [{ maxMessagesPerPrompt: 1_000 }, "taken"],
  [{ maxMessagesPerPrompt: 0 }, "both"],
  [{ maxMessagesPerPrompt: 1_001 }, "both"],
  [{ assistantName: "\ud800".repeat(200), groupName: "\n".repeat(200) }, "taken"],
  [{ assistantName: "" }, "both"],
  [{ assistantName: "a".repeat(201) }, "host"],
  [{ model: "m".repeat(200) }, "taken"],
  [{ model: "m".repeat(201) }, "host"],
  [{ zone: "" }, "both"],
  [{ zone: "Mars/Base" }, "both"],
]

const shown = (fields: object): string => JSON.stringify(fields).slice(0, 60)

describe("container.json, from both sides", () => {
  for (const [fields, expected] of extremes)
    it(`${shown(fields)}: ${expected === "taken" ? "taken" : `refused by ${expected === "both" ? "both" : "the host"}`}`, () => {
      const json = { ...plain, ...fields }
      assert.strictEqual(hostTakes(json), expected === "taken")
      if (expected === "both") assert.isNotNull(runnerSays(json))
      else assert.isNull(runnerSays(json))
    })

  it.prop("whatever the Schema allows, the runner takes", [Generated], ([generated]) => {
    assert.isNull(
      runnerSays({ ...generated, command: generated.command ?? plain.command, provider: "command" }),
    )
  })

  it("every zone that a group may have is one that the runner can show", () => {
    const zones = [...Intl.supportedValuesOf("timeZone"), "UTC", "EST", "Asia/Kolkata", "US/Pacific"]
    for (const zone of zones) {
      const parsed = parseZone(zone)
      if (Result.isSuccess(parsed)) assert.isNull(runnerSays({ ...plain, zone: parsed.success }), zone)
    }
  })

  it("the host's registry names the providers that the runner has", () => {
    assert.deepStrictEqual(Object.keys(builtInProviders).toSorted(), [...PROVIDERS].toSorted())
    assert.include(runnerSays({ ...plain, provider: "shout" }), "echo, command")
  })
})
