import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result, Schema } from "effect"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { configurationPage } from "../../scripts/configuration.ts"
import { defaultSandbox } from "../../src/domain/ContainerSpec.ts"
import { defaultHostLimits, defaultPolicy, HostLimits, Policy } from "../../src/domain/Policy.ts"
import { type ConfigurationIssue, loadSettings, unknownVariables } from "../../src/layers/Configuration.ts"
import { parseDurationOrMillis } from "../../src/domain/DurationText.ts"
import { nearestName } from "../../src/domain/NearestName.ts"
import { formatBytes, formatDuration, parseBytes } from "../../src/layers/configuration/QuantityText.ts"
import { environmentName, keyOf } from "../../src/layers/configuration/Setting.ts"
import { channelSettings, staticSettings } from "../../src/layers/configuration/SettingsCatalogue.ts"

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "lamplighter-configuration-"))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const secretText = "whsec_bm9ib2R5IG11c3QgZXZlciByZWFkIHRoaXM="

const fileText = (text: string) => writeFileSync(join(dataDir, "lamplighter.json"), text)
const load = (file: unknown = undefined, env: Record<string, string> = {}) => {
  if (file !== undefined) fileText(JSON.stringify(file))
  return loadSettings({ env, dataDir, homeDir: "/home/user" })
}

const issuesOf = (file: unknown, env: Record<string, string> = {}) =>
  Effect.map(Effect.flip(load(file, env)), ({ issues }): ReadonlyArray<ConfigurationIssue> => issues)

const onlyIssue = (file: unknown, env: Record<string, string> = {}) =>
  Effect.map(issuesOf(file, env), (issues) => {
    assert.strictEqual(issues.length, 1, issues.map(({ message }) => message).join("\n"))
    return issues[0]!
  })

describe("configuration, what holds", () => {
  it.effect("by default: the domain's policy and limits, stdout alone, the host's zone", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load(), {
        dataDir,
        runtime: "process",
        zone: new Intl.DateTimeFormat("en").resolvedOptions().timeZone,
        policy: defaultPolicy,
        limits: defaultHostLimits,
        sweepIntervalMs: 60_000,
        pollIntervalMs: 1_000,
        channels: { stdout: { type: "stdout" } },
        owners: [],
        globalAdmins: [],
        keepZeroExitLogs: "discard",
        exitLogRetention: { count: 1_000, ageMs: 30 * 86_400_000 },
        maxLogBytes: 1_048_576,
        docker: {
          image: "lamplighter-agent:latest",
          baseImage: "node:24-bookworm-slim",
          build: "missing",
          buildTimeoutMs: 600_000,
          buildNetwork: "default",
          readableMounts: [],
          writableMounts: [],
          skillsDir: "",
          strictRuntime: "warn",
          socket: "",
          callTimeoutMs: 10_000,
          changeTimeoutMs: 60_000,
        },
        sandbox: defaultSandbox,
        credentials: {
          kind: "none",
          variables: [],
          requiredBy: [],
          gatewayUrl: Redacted.make(""),
          gatewayProbe: "",
          gatewayCertificate: "",
        },
        log: { format: "auto", level: "Info" },
      })
    }),
  )

  it.effect("the file over defaults, the environment over the file", () =>
    Effect.gen(function* () {
      const file = {
        zone: "Europe/Paris",
        policy: { idleMs: "2 minutes", retryLimit: 3 },
        owners: ["ann", "bob"],
      }
      const fromFile = yield* load(file)
      assert.strictEqual(fromFile.zone, "Europe/Paris")
      assert.deepStrictEqual(fromFile.policy, { ...defaultPolicy, idleMs: 120_000, retryLimit: 3 })
      assert.deepStrictEqual(fromFile.owners, ["ann", "bob"])

      const fromBoth = yield* load(file, {
        LAMPLIGHTER_ZONE: "Asia/Tokyo",
        LAMPLIGHTER_POLICY_IDLE_MS: "90s",
        LAMPLIGHTER_OWNERS: "eve, ann,eve",
        LAMPLIGHTER_POLICY_RETRY_LIMIT: "",
      })
      assert.strictEqual(fromBoth.zone, "Asia/Tokyo")
      assert.deepStrictEqual(fromBoth.policy, { ...defaultPolicy, idleMs: 90_000, retryLimit: 3 })
      assert.deepStrictEqual(fromBoth.owners, ["eve", "ann"])
    }),
  )

  it.effect("words in any case, lengths of time in every form that flags and schedules take", () =>
    Effect.gen(function* () {
      const file = { runtime: "Docker", log: { level: "debug" }, policy: { idleMs: "PT5M" } }
      const settings = yield* load(file, { LAMPLIGHTER_LOG_FORMAT: "JSON" })
      assert.strictEqual(settings.runtime, "docker")
      assert.deepStrictEqual(settings.log, { format: "json", level: "Debug" })
      assert.strictEqual(settings.policy.idleMs, 300_000)
    }),
  )

  it.effect("a zone only by a name of the tz database; the nearest of those are named", () =>
    Effect.gen(function* () {
      const issue = yield* onlyIssue({ zone: "BST" })
      assert.include(issue.message, "Europe/London")
      assert.strictEqual((yield* load({ zone: "asia/calcutta" })).zone, "Asia/Kolkata")
    }),
  )

  it.effect("null and none mean that retries have no cap", () =>
    Effect.gen(function* () {
      assert.isNull((yield* load({ policy: { retryCapMs: null } })).policy.retryCapMs)
      const capped = { policy: { retryCapMs: 5_000 } }
      assert.strictEqual((yield* load(capped)).policy.retryCapMs, 5_000)
      assert.isNull((yield* load(capped, { LAMPLIGHTER_POLICY_RETRY_CAP_MS: "none" })).policy.retryCapMs)
    }),
  )

  it.effect("the data directory: the option, then LAMPLIGHTER_DATA, then ~/.lamplighter", () =>
    Effect.gen(function* () {
      const at = (env: Record<string, string>, option?: string) =>
        Effect.map(
          loadSettings({ env, dataDir: option, homeDir: "/home/user", workDir: "/work" }),
          (settings) => settings.dataDir,
        )
      assert.strictEqual(yield* at({}), "/home/user/.lamplighter")
      assert.strictEqual(yield* at({ LAMPLIGHTER_DATA: "lamp" }), "/work/lamp")
      assert.strictEqual(yield* at({ LAMPLIGHTER_DATA: "~/lamp" }), "/home/user/lamp")
      assert.strictEqual(yield* at({ LAMPLIGHTER_DATA: "lamp" }, "/elsewhere"), "/elsewhere")
    }),
  )

  it.effect("LAMPLIGHTER_CONFIG names another file, which then has to exist", () =>
    Effect.gen(function* () {
      const other = join(dataDir, "other.json")
      writeFileSync(other, '\uFEFF{"zone":"Asia/Tokyo"}')
      const settings = yield* load({ zone: "Europe/Paris" }, { LAMPLIGHTER_CONFIG: other })
      assert.strictEqual(settings.zone, "Asia/Tokyo")
      rmSync(other)
      const issue = yield* onlyIssue({}, { LAMPLIGHTER_CONFIG: other })
      assert.include(issue.message, other)
      assert.include(issue.message, "ENOENT")
    }),
  )
})

describe("configuration, channels", () => {
  it.effect("come from the file, with defaults and paths made absolute", () =>
    Effect.gen(function* () {
      const { channels } = yield* load({
        channels: {
          journal: { type: "file", path: "out/journal.jsonl" },
          home: { type: "file", path: "~/home.jsonl", maxBytes: "64 KiB" },
          hook: { type: "webhook", url: "https://example.org/in?x=1", secret: secretText, timeoutMs: "3s" },
        },
      })
      assert.deepStrictEqual(Object.keys(channels).sort(), ["home", "hook", "journal", "stdout"])
      assert.deepStrictEqual(channels["journal"], {
        type: "file",
        path: join(dataDir, "out/journal.jsonl"),
        maxBytes: 1024 ** 3,
      })
      assert.deepStrictEqual(channels["home"], {
        type: "file",
        path: "/home/user/home.jsonl",
        maxBytes: 65_536,
      })
      const hook = channels["hook"]!
      if (hook.type !== "webhook") throw new Error("not a webhook")
      assert.strictEqual(hook.url, "https://example.org/in?x=1")
      assert.strictEqual(Redacted.value(hook.secret), secretText)
      assert.strictEqual(hook.timeoutMs, 3_000)
    }),
  )

  it.effect("come whole or in part from the environment", () =>
    Effect.gen(function* () {
      const { channels } = yield* load(
        { channels: { "my-hook": { type: "webhook", url: "https://example.org/" } } },
        {
          LAMPLIGHTER_CHANNELS_MY_HOOK_SECRET: secretText,
          LAMPLIGHTER_CHANNELS_MY_HOOK_TIMEOUT_MS: "500",
          LAMPLIGHTER_CHANNELS_SIDE_LOG_TYPE: "file",
          LAMPLIGHTER_CHANNELS_SIDE_LOG_PATH: "/var/side.jsonl",
        },
      )
      const hook = channels["my-hook"]!
      if (hook.type !== "webhook") throw new Error("not a webhook")
      assert.strictEqual(Redacted.value(hook.secret), secretText)
      assert.strictEqual(hook.timeoutMs, 500)
      assert.deepStrictEqual(channels["side-log"], {
        type: "file",
        path: "/var/side.jsonl",
        maxBytes: 1024 ** 3,
      })
    }),
  )

  it.effect("without what their type needs are refused, naming where it can be set", () =>
    Effect.gen(function* () {
      const issues = yield* issuesOf({
        channels: { hook: { type: "webhook" }, "": { type: "stdout" }, x: {} },
      })
      assert.deepStrictEqual(
        issues.map(({ key }) => key),
        ["channels", "channels.hook.url", "channels.hook.secret", "channels.x.type"],
      )
      assert.include(issues[2]!.message, "LAMPLIGHTER_CHANNELS_HOOK_SECRET")
    }),
  )

  const refused: ReadonlyArray<readonly [string, Record<string, unknown>, string]> = [
    ["a type that is none", { c: { type: "telegraph" } }, "channels.c.type"],
    ["a name with a capital", { Hook: { type: "stdout" } }, "channels"],
    ["a name with an underscore", { my_hook: { type: "stdout" } }, "channels"],
    ["the reserved name agent", { agent: { type: "stdout" } }, "channels"],
    ["another stdout", { stdout: { type: "file", path: "/tmp/x" } }, "channels.stdout.type"],
    ["a field of another type", { c: { type: "stdout", path: "/tmp/x" } }, "channels.c.path"],
    ["a channel that is no object", { c: "stdout" }, "channels.c"],
    ["an empty path", { c: { type: "file", path: "" } }, "channels.c.path"],
    ["the ledger as its file", { c: { type: "file", path: "lamplighter.db" } }, "channels.c.path"],
    ["a file in an agent's folder", { c: { type: "file", path: "groups/g/x" } }, "channels.c.path"],
    ["a tiny size limit", { c: { type: "file", path: "/x", maxBytes: 10 } }, "channels.c.maxBytes"],
    [
      "a file of two channels",
      { a: { type: "file", path: "/x/y" }, b: { type: "file", path: "/x/./y" } },
      "channels.b.path",
    ],
    [
      "a URL of another scheme",
      { c: { type: "webhook", url: "ftp://example.org", secret: secretText } },
      "channels.c.url",
    ],
    [
      "a short secret",
      { c: { type: "webhook", url: "https://e.org", secret: "short" } },
      "channels.c.secret",
    ],
    [
      "a timeout of an hour",
      { c: { type: "webhook", url: "https://e.org", secret: secretText, timeoutMs: "1h" } },
      "channels.c.timeoutMs",
    ],
  ]
  for (const [what, channels, key] of refused) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* onlyIssue({ channels })).key, key)
      }),
    )
  }

  it.effect("a variable of a field that the channel's type does not have is refused", () =>
    Effect.gen(function* () {
      const issue = yield* onlyIssue(undefined, {
        LAMPLIGHTER_CHANNELS_STDOUT_TYPE: "stdout",
        LAMPLIGHTER_CHANNELS_STDOUT_URL: "https://e.org",
      })
      assert.include(issue.message, "LAMPLIGHTER_CHANNELS_STDOUT_URL")
    }),
  )
})

describe("configuration, bad values", () => {
  const bad: ReadonlyArray<readonly [key: string, file: unknown, value: string, expected: string]> = [
    ["zone", { zone: "Europe/Pariis" }, '"Europe/Pariis"', "an IANA time zone"],
    ["zone", { zone: "+02:00" }, '"+02:00"', "an IANA time zone"],
    ["zone", { zone: "" }, '""', "an IANA time zone"],
    ["zone", { zone: 5 }, "5", "an IANA time zone"],
    ["runtime", { runtime: "podman" }, '"podman"', '"process" or "docker"'],
    ["policy.idleMs", { policy: { idleMs: "soon" } }, '"soon"', "a length of time from 0 ms to 10 years"],
    ["policy.idleMs", { policy: { idleMs: -1 } }, '"-1"', "a length of time"],
    ["policy.idleMs", { policy: { idleMs: 1.5 } }, '"1.5"', "a length of time"],
    ["policy.idleMs", { policy: { idleMs: "11 years" } }, '"11 years"', "a length of time"],
    ["policy.idleMs", { policy: { idleMs: 315_576_000_001 } }, '"315576000001"', "to 10 years"],
    ["policy.idleMs", { policy: { idleMs: true } }, "true", "a length of time"],
    ["policy.idleMs", { policy: { idleMs: null } }, "null", "a length of time"],
    ["policy.idleMs", { policy: { idleMs: [1] } }, "[1]", "a length of time"],
    ["policy.retryLimit", { policy: { retryLimit: 101 } }, '"101"', "a whole number from 0 to 100"],
    ["policy.retryLimit", { policy: { retryLimit: "five" } }, '"five"', "a whole number from 0 to 100"],
    ["policy.retryJitter", { policy: { retryJitter: 1.01 } }, '"1.01"', "a number from 0 to 1"],
    ["policy.retryCapMs", { policy: { retryCapMs: "never" } }, '"never"', 'or "none"'],
    ["policy", { policy: 5 }, "a number", "an object"],
    ["limits.maxContainers", { limits: { maxContainers: 0 } }, '"0"', "a whole number from 1 to 100000"],
    ["limits.maxContentBytes", { limits: { maxContentBytes: "17 MiB" } }, '"17 MiB"', "1 byte to 16 MiB"],
    ["sweepIntervalMs", { sweepIntervalMs: 0 }, '"0"', "from 100 ms to 1 day"],
    ["owners", { owners: "ann" }, '"ann"', "as an array of texts"],
    ["owners", { owners: ["ann", 5] }, '["ann",5]', "as an array of texts"],
    ["owners", { owners: [""] }, '"[\\"\\"]"', "user ids of 1 to 200 characters"],
    ["keepZeroExitLogs", { keepZeroExitLogs: true }, "true", '"keep" or "discard"'],
    ["log.level", { log: { level: "Loud" } }, '"Loud"', '"Info"'],
    ["log.format", { log: { format: "xml" } }, '"xml"', '"auto" or "pretty" or "json"'],
  ]
  for (const [key, file, value, expected] of bad) {
    it.effect(`${JSON.stringify(file)} in the file: names key, value and what would do`, () =>
      Effect.gen(function* () {
        const issue = yield* onlyIssue(file)
        assert.strictEqual(issue.key, key)
        assert.strictEqual(issue.value, value)
        assert.strictEqual(issue.source, join(dataDir, "lamplighter.json"))
        assert.include(issue.expected, expected)
        assert.include(issue.message, `${key} is ${value} (in ${dataDir}`)
        assert.include(issue.message, expected)
      }),
    )
  }

  it.effect("in the environment name the variable, and are refused even where the file is right", () =>
    Effect.gen(function* () {
      const issue = yield* onlyIssue(
        { policy: { graceMs: 5_000 } },
        { LAMPLIGHTER_POLICY_GRACE_MS: "ten seconds" },
      )
      assert.strictEqual(issue.source, "LAMPLIGHTER_POLICY_GRACE_MS")
      assert.strictEqual(issue.value, '"ten seconds"')
    }),
  )

  it.effect("come all in one report, values cut to a bounded length", () =>
    Effect.gen(function* () {
      const file = { runtime: "x", policy: { idleMs: "y", graceMs: "z".repeat(10_000) }, typo: 1 }
      const error = yield* Effect.flip(load(file, { LAMPLIGHTER_LOG_LEVEL: "v" }))
      assert.deepStrictEqual(
        error.issues.map(({ key }) => key),
        ["typo", "runtime", "policy.idleMs", "policy.graceMs", "log.level"],
      )
      assert.strictEqual(error.message.split("\n").length, 5)
      assert.isBelow(error.message.length, 2_000)
    }),
  )

  it.effect("a gateway without its URL, and never shows one that is wrong", () =>
    Effect.gen(function* () {
      const missing = yield* onlyIssue({ credentials: { kind: "gateway" } })
      assert.strictEqual(missing.key, "credentials.gatewayUrl")
      const bad = yield* Effect.flip(
        load({ credentials: { kind: "gateway", gatewayUrl: "ftp://x:hunter2@h" } }),
      )
      assert.notInclude(bad.message, "hunter2")
    }),
  )

  it.effect("an image's name, a network and a socket that can't be ones", () =>
    Effect.gen(function* () {
      const issues = yield* issuesOf({
        docker: { image: "Agents Of Mine", network: "host", socket: "tcp://10.0.0.1" },
      })
      assert.deepStrictEqual(
        issues.map(({ key }) => key),
        ["docker.image", "docker.socket", "docker.network"],
      )
    }),
  )
})

describe("configuration, unknown keys", () => {
  const unknown: ReadonlyArray<readonly [string, unknown, string]> = [
    ["zoen", { zoen: "UTC" }, "did you mean zone?"],
    ["policy.idle", { policy: { idle: 5 } }, "did you mean policy.idleMs?"],
    ["policy.retryLimits", { policy: { retryLimits: 5 } }, "did you mean policy.retryLimit?"],
    ["idleMs", { idleMs: 5 }, "did you mean policy.idleMs?"],
    ["log.lvl", { log: { lvl: "Info" } }, "did you mean log.level?"],
    ["chanels", { chanels: {} }, "did you mean channels?"],
    ["xyzzyplugh", { xyzzyplugh: 1 }, "known here are"],
    ["dataDir", { dataDir: "/x" }, "LAMPLIGHTER_DATA"],
    ["__proto__", JSON.parse('{"__proto__": 1}'), "is not a known key"],
    ["channels.c.pth", { channels: { c: { type: "file", path: "/x", pth: 1 } } }, "channels.c.path?"],
  ]
  for (const [key, file, text] of unknown) {
    it.effect(`${key} is refused: ${text}`, () =>
      Effect.gen(function* () {
        const issue = yield* onlyIssue(file)
        assert.strictEqual(issue.key, key)
        assert.include(issue.message, text)
      }),
    )
  }

  it("variables that nothing reads are found, with the nearest that something does", () => {
    assert.deepStrictEqual(
      unknownVariables({
        LAMPLIGHTER_POLCY_IDLE_MS: "5",
        LAMPLIGHTER_POLICY_IDLE_MS: "5",
        LAMPLIGHTER_DATA: "/x",
        LAMPLIGHTER_CHANNELS_HOOK_URL: "x",
        PATH: "/bin",
      }),
      ["nothing reads LAMPLIGHTER_POLCY_IDLE_MS; did you mean LAMPLIGHTER_POLICY_IDLE_MS?"],
    )
  })

  it("a variable that is near to none is named without a suggestion: what all start with does not count", () => {
    assert.deepStrictEqual(
      unknownVariables({ LAMPLIGHTER_QQQXYZZY: "1", LAMPLIGHTER_POLCY_X: "3", LAMPLIGHTER_: "" }),
      [
        "nothing reads LAMPLIGHTER_",
        "nothing reads LAMPLIGHTER_POLCY_X",
        "nothing reads LAMPLIGHTER_QQQXYZZY",
      ],
    )
  })

  it("the nearest name ignores case and is absent when nothing is near", () => {
    assert.strictEqual(nearestName("IDLEMS", ["graceMs", "idleMs"]), "idleMs")
    assert.isUndefined(nearestName("abcdef", ["zone", "policy"]))
  })
})

describe("configuration, the file itself", () => {
  const broken: ReadonlyArray<readonly [string, string, string]> = [
    ["a trailing comma", '{\n  "zone": "UTC",\n}', "(line 3 column 1)"],
    ["an unquoted value", '{\n  "zone": "UTC",\n  "runtime": process\n}', "(line 3)"],
    ["half of it", '{"zone":', "not valid JSON"],
    ["an array", "[]", "holds an array: expected one JSON object"],
    ["nothing", "", "not valid JSON"],
  ]
  for (const [what, text, message] of broken) {
    it.effect(`${what} is refused, saying where`, () =>
      Effect.gen(function* () {
        fileText(text)
        const issue = yield* onlyIssue(undefined)
        assert.include(issue.message, join(dataDir, "lamplighter.json"))
        assert.include(issue.message, message)
      }),
    )
  }

  it.effect("a directory in its place, or a file without end, is refused", () =>
    Effect.gen(function* () {
      fileText(" ".repeat(1024 * 1024 + 1))
      assert.include((yield* onlyIssue(undefined)).message, "at most 1048576 bytes")
      rmSync(join(dataDir, "lamplighter.json"))
      mkdirSync(join(dataDir, "lamplighter.json"))
      yield* onlyIssue(undefined)
    }),
  )
})

describe("configuration, secrets", () => {
  const leaks: ReadonlyArray<readonly [string, string, Record<string, string>]> = [
    ["a bad secret", `{"channels":{"c":{"type":"webhook","url":"https://e.org","secret":"hunter2"}}}`, {}],
    [
      "a secret of another shape",
      `{"channels":{"c":{"type":"webhook","url":"https://e.org","secret":["hunter2"]}}}`,
      {},
    ],
    ["a secret under a mistyped key", `{"channels":{"c":{"type":"webhook","secrt":"hunter2"}}}`, {}],
    ["a secret in place of a channel", `{"channels":{"c":"hunter2"}}`, {}],
    ["a secret in place of all channels", `{"channels":"hunter2"}`, {}],
    ["a password in the URL", `{"channels":{"c":{"type":"webhook","url":"https://me:hunter2@e.org/"}}}`, {}],
    [
      "a token in a URL of another scheme",
      `{"channels":{"c":{"type":"webhook","url":"ftp://e.org/hunter2?hunter2"}}}`,
      {},
    ],
    ["a password in no URL at all", `{"channels":{"c":{"type":"webhook","url":"me:hunter2@e"}}}`, {}],
    ["a secret beside broken JSON", `{"channels":{"c":{"secret":"hunter2" hunter2}}}`, {}],
    [
      "a bad secret in the environment",
      "{}",
      { LAMPLIGHTER_CHANNELS_C_TYPE: "webhook", LAMPLIGHTER_CHANNELS_C_SECRET: "hunter2" },
    ],
  ]
  for (const [what, text, env] of leaks) {
    it.effect(`an error never repeats ${what}`, () =>
      Effect.gen(function* () {
        fileText(text)
        const error = yield* Effect.flip(load(undefined, env))
        assert.notInclude(JSON.stringify(error.issues), "hunter2")
        assert.notInclude(error.message, "hunter2")
        assert.notInclude(String(error), "hunter2")
      }),
    )
  }

  it.effect("settings that are printed hide theirs", () =>
    Effect.gen(function* () {
      const channels = { hook: { type: "webhook", url: "https://e.org", secret: secretText } }
      const settings = yield* load({ channels })
      assert.notInclude(JSON.stringify(settings), secretText)
      assert.notInclude(String(settings.channels["hook"]), secretText)
    }),
  )
})

describe("lengths of time and sizes as text", () => {
  it("reads what people write", () => {
    const durations: ReadonlyArray<readonly [string, number | undefined]> = [
      ["0", 0],
      ["300000", 300_000],
      ["90s", 90_000],
      ["30 minutes", 1_800_000],
      ["1h 30m", 5_400_000],
      ["1h30m", 5_400_000],
      ["1.5 hours", 5_400_000],
      ["0.1 minutes", 6_000],
      ["2 Days", 172_800_000],
      ["250ms", 250],
      ["0.5ms", undefined],
      ["-5s", undefined],
      ["5", 5],
      ["5 fortnights", undefined],
      ["minutes", undefined],
      ["", undefined],
      ["1e3", undefined],
      ["Infinity", undefined],
      ["1".repeat(16), undefined],
      ["1s".repeat(100_000), undefined],
    ]
    for (const [text, ms] of durations)
      assert.strictEqual(Result.getOrUndefined(parseDurationOrMillis(text)), ms, text.slice(0, 20))
    assert.strictEqual(parseBytes("64 KiB"), 65_536)
    assert.strictEqual(parseBytes("5 MB"), 5_000_000)
    assert.strictEqual(parseBytes("1024"), 1_024)
    for (const text of ["", "-1", "1.5 B", "lots"]) assert.isUndefined(parseBytes(text), text)
  })

  const whole = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 315_576_000_000 }))
  it.effect.prop("what is shown reads back as the same number", [whole], ([number]) =>
    Effect.sync(() => {
      // Years are shown for limits only and not read.
      if (!formatDuration(number).includes("year")) {
        assert.deepStrictEqual(parseDurationOrMillis(formatDuration(number)), Result.succeed(number))
      }
      assert.strictEqual(parseBytes(formatBytes(number).replace(/ bytes?$/, " B")), number)
    }),
  )
})

describe("docs/configuration.md", () => {
  const manual = fileURLToPath(new URL("../../docs/configuration.md", import.meta.url))
  const rows = () =>
    readFileSync(manual, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .map((line) =>
        line
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim()),
      )
      // Tables of settings have six columns; others, such as that of headers, have fewer.
      .filter((cells) => cells.length === 6)

  it("has a row for every setting, as the code knows it, and no other", () => {
    const expected = [...staticSettings, ...Object.values(channelSettings("NAME"))].map((setting) => [
      `\`${keyOf(setting)}\``,
      `\`${environmentName(setting.path)}\``,
      setting.fallbackText === "" ? "required" : setting.fallbackText,
      setting.unit === "" ? "–" : setting.unit,
      setting.expected,
      setting.meaning,
    ])
    const found = rows()
    assert.deepStrictEqual(
      found,
      expected,
      `rows should be:\n${expected.map((row) => `| ${row.join(" | ")} |`).join("\n")}`,
    )
  })

  it("is what `npm run docs` writes", () => {
    const page = readFileSync(manual, "utf8")
    assert.strictEqual(configurationPage(page), page)
  })

  it("knows every field of policy and limits", () => {
    const keys = new Set(rows().map(([key]) => key))
    for (const field of Object.keys(Policy.fields)) assert.isTrue(keys.has(`\`policy.${field}\``), field)
    for (const field of Object.keys(HostLimits.fields)) assert.isTrue(keys.has(`\`limits.${field}\``), field)
  })
})
