import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import {
  decideMounts,
  isWithin,
  type MountAllowance,
  type MountDecision,
  MountRequest,
} from "../../src/domain/MountPolicy.ts"

const host = {
  homes: ["/home/ann", "/root"],
  engineSockets: ["/srv/engine/docker.sock"],
  dataDir: "/srv/lamplighter",
  configurationFile: "/srv/conf/lamplighter.json",
}
/** The most that a list can say. */
const everything: ReadonlyArray<MountAllowance> = [{ path: "/", access: "read-write" }]

const request = (source: string, more: Partial<MountRequest> = {}): MountRequest => ({
  source,
  target: "data",
  access: "read-only",
  ...more,
})

const decide = (
  source: string,
  options: {
    readonly real?: string | null
    readonly allowances?: ReadonlyArray<MountAllowance>
    readonly access?: MountRequest["access"]
  } = {},
): MountDecision => {
  const [decision] = decideMounts({
    requests: [
      {
        request: request(source, { access: options.access ?? "read-only" }),
        realPath: options.real === undefined ? source : options.real,
      },
    ],
    allowances: options.allowances ?? everything,
    host,
  })
  assert.isDefined(decision)
  return decision!
}

const reasonOf = (decision: MountDecision) => (decision._tag === "Refused" ? decision.reason : "allowed")

describe("a mount", () => {
  it("is allowed below a listed folder, at a name under /workspace/extra", () => {
    const decision = decide("/srv/data/reports", {
      allowances: [{ path: "/srv/data", access: "read-only" }],
    })
    assert.deepStrictEqual(decision._tag === "Allowed" ? decision.bind : null, {
      source: "/srv/data/reports",
      target: "/workspace/extra/data",
      access: "read-only",
    })
  })

  it("is made of the real path, not of the link that was asked for", () => {
    const decision = decide("/srv/data/latest", { real: "/srv/data/2026" })
    assert.strictEqual(decision._tag === "Allowed" && decision.bind.source, "/srv/data/2026")
  })

  it("is read-write only where both the list and the group say so", () => {
    const readable: ReadonlyArray<MountAllowance> = [{ path: "/srv/data", access: "read-only" }]
    const writable: ReadonlyArray<MountAllowance> = [{ path: "/srv/data", access: "read-write" }]
    assert.strictEqual(
      reasonOf(decide("/srv/data", { allowances: readable, access: "read-write" })),
      "read-only",
    )
    assert.strictEqual(
      reasonOf(decide("/srv/data", { allowances: writable, access: "read-write" })),
      "allowed",
    )
    const asked = decide("/srv/data", { allowances: writable, access: "read-only" })
    assert.strictEqual(asked._tag === "Allowed" && asked.bind.access, "read-only")
  })

  const refused: ReadonlyArray<readonly [string, string, string | null, string]> = [
    ["what is not there", "/srv/nothing", null, "missing"],
    ["the whole host", "/", "/", "root"],
    ["a link to the whole host", "/srv/data/all", "/", "root"],
    ["/proc", "/proc", "/proc", "system"],
    ["what is inside /sys", "/sys/kernel", "/sys/kernel", "system"],
    ["/dev", "/dev", "/dev", "system"],
    ["/etc", "/etc", "/etc", "system"],
    ["a parent of a system folder", "/var/lib", "/var/lib", "system"],
    ["a link into /proc", "/srv/data/p", "/proc/1/root", "system"],
    ["the engine's socket", "/srv/engine/docker.sock", "/srv/engine/docker.sock", "engine-socket"],
    ["the folder of the engine's socket", "/srv/engine", "/srv/engine", "engine-socket"],
    ["the data directory", "/srv/lamplighter", "/srv/lamplighter", "data-directory"],
    [
      "a folder in the data directory",
      "/srv/lamplighter/groups",
      "/srv/lamplighter/groups",
      "data-directory",
    ],
    ["a parent of the data directory, which other rules admit", "/srv", "/srv", "engine-socket"],
    ["the daemon's configuration", "/srv/conf", "/srv/conf", "data-directory"],
    ["a home", "/home/ann", "/home/ann", "home"],
    ["a parent of a home", "/home", "/home", "home"],
    ["root's home", "/root", "/root", "home"],
    ["keys", "/home/ann/.ssh", "/home/ann/.ssh", "credentials"],
    ["one key", "/home/ann/.ssh/id_ed25519", "/home/ann/.ssh/id_ed25519", "credentials"],
    [
      "keys on a file system that does not tell cases apart",
      "/home/ann/.SSH",
      "/home/ann/.SSH",
      "credentials",
    ],
    ["a link to keys", "/home/ann/keys", "/home/ann/.ssh", "credentials"],
    ["a link that is called like keys", "/home/ann/.aws", "/srv/data", "credentials"],
    ["a cloud's credentials", "/home/ann/.config/gcloud", "/home/ann/.config/gcloud", "credentials"],
    ["a browser's profile", "/home/ann/.mozilla/firefox", "/home/ann/.mozilla/firefox", "credentials"],
    ["a cluster's credentials", "/home/ann/.kube", "/home/ann/.kube", "credentials"],
    ["a path with ..", "/srv/data/../../etc", "/etc", "not-absolute"],
    ["a relative path", "srv/data", "/srv/data", "not-absolute"],
  ]
  for (const [name, source, real, reason] of refused) {
    it(`of ${name} is refused (${reason}), whatever the list says`, () => {
      const decision = decide(source, { real })
      assert.strictEqual(reasonOf(decision), reason)
      assert.include(decision._tag === "Refused" ? decision.message : "", source)
    })
  }

  it("that is on no list is refused, and the settings that would allow it are named", () => {
    const decision = decide("/srv/database", { allowances: [{ path: "/srv/data", access: "read-only" }] })
    assert.strictEqual(reasonOf(decision), "not-allowed")
    assert.include(decision._tag === "Refused" ? decision.message : "", "docker.readableMounts")
  })

  it("is compared part by part, so that a longer name is not below a shorter one", () => {
    assert.isFalse(isWithin("/a/bc", "/a/b"))
    assert.isTrue(isWithin("/a/b/c", "/a/b"))
    assert.isTrue(isWithin("/a/b", "/a/b/"))
  })

  it("whose name another mount has is refused, and the first one stays", () => {
    const requests = ["/srv/data", "/srv/other"].map((source) => ({
      request: request(source),
      realPath: source,
    }))
    assert.deepStrictEqual(decideMounts({ requests, allowances: everything, host }).map(reasonOf), [
      "allowed",
      "target-taken",
    ])
  })

  const parts = Schema.Array(Schema.Literals(["srv", "data", "database", "x"])).check(Schema.isMaxLength(4))
  it.effect.prop("is never allowed outside of every list", [parts], ([drawn]) =>
    Effect.sync(() => {
      const source = `/${drawn.join("/")}`
      const decision = decide(source, { allowances: [{ path: "/srv/data", access: "read-write" }] })
      assert.strictEqual(decision._tag === "Allowed", isWithin(source, "/srv/data"))
    }),
  )

  for (const target of ["..", ".", "a/b", "", "/etc", "a b"]) {
    it(`can't be called ${JSON.stringify(target)}`, () => {
      const decoded = Schema.decodeUnknownOption(MountRequest)(request("/srv/data", { target }))
      assert.strictEqual(decoded._tag, "None")
    })
  }
})
