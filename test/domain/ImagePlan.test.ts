import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  AptPackage,
  buildBackoffMs,
  groupDockerfile,
  noPackages,
  normalPackages,
  NpmPackage,
  planImage,
} from "../../src/domain/ImagePlan.ts"

const own = { agent: "agent:1", base: "node:24", build: "missing" } as const
const packages = { apt: ["jq", "curl"], npm: ["@scope/tool@1.2.3"] }

describe("an image that the engine lacks", () => {
  it("is built from the base when it is the agent image", () => {
    assert.deepStrictEqual(planImage({ tag: "agent:1", layered: null }, own), {
      _tag: "BuildAgent",
      tag: "agent:1",
      from: "node:24",
    })
  })

  it("is built over its base when it is a group's own", () => {
    const plan = planImage({ tag: "group:1", layered: { from: "agent:1", packages } }, own)
    assert.strictEqual(plan._tag, "BuildGroup")
    if (plan._tag !== "BuildGroup") return
    assert.strictEqual(plan.from, "agent:1")
    assert.include(plan.dockerfile, "apt-get install -y --no-install-recommends -- 'curl' 'jq'")
    assert.include(plan.dockerfile, "npm install --global --no-fund --no-audit -- '@scope/tool@1.2.3'")
    assert.isTrue(plan.dockerfile.trimEnd().endsWith("USER 1000:1000"))
  })

  it("is never built when it is somebody else's", () => {
    const plan = planImage({ tag: "registry.example.org/agents:1", layered: null }, own)
    assert.strictEqual(plan._tag, "Refuse")
    assert.include(plan._tag === "Refuse" ? plan.message : "", "pull or build it")
  })

  for (const layered of [null, { from: "agent:1", packages }]) {
    it(`is not built where builds are switched off, ${layered === null ? "alone" : "with packages"}`, () => {
      const plan = planImage({ tag: "agent:1", layered }, { ...own, build: "never" })
      assert.strictEqual(plan._tag, "Refuse")
      assert.include(plan._tag === "Refuse" ? plan.message : "", "lamplighter image build")
    })
  }

  it("is the same whatever the order and the repeats of its packages", () => {
    const again = { apt: ["curl", "jq", "curl"], npm: ["@scope/tool@1.2.3"] }
    assert.strictEqual(groupDockerfile(packages), groupDockerfile(again))
    assert.deepStrictEqual(normalPackages(again).apt, ["curl", "jq"])
    assert.notInclude(groupDockerfile(noPackages), "RUN")
  })

  it("is built again after 10, 20, 40 … seconds, at most after five minutes", () => {
    assert.deepStrictEqual(
      [0, 1, 2, 3, 6, 1_000].map(buildBackoffMs),
      [0, 10_000, 20_000, 40_000, 300_000, 300_000],
    )
  })
})

describe("a package's name", () => {
  const apt = Schema.decodeUnknownOption(AptPackage)
  const npm = Schema.decodeUnknownOption(NpmPackage)
  for (const name of ["curl", "g++", "python3.11", "libc6=2.36-9+deb12u9", "libssl3=3.0.15-1~deb12u1"]) {
    it(`may be Debian's ${name}`, () => assert.strictEqual(apt(name)._tag, "Some"))
  }
  for (const name of [
    "typescript",
    "@scope/name",
    "left-pad@1.3.0",
    "tool@latest",
    "tool@1.0.0-rc.1+build",
  ]) {
    it(`may be npm's ${name}`, () => assert.strictEqual(npm(name)._tag, "Some"))
  }
  const bad = [
    "",
    "-y",
    "--allow-unauthenticated",
    "curl;id",
    "curl jq",
    "curl\nRUN id",
    "$(id)",
    "`id`",
    "'curl'",
    "../x",
    "./x.deb",
    "/tmp/x.deb",
    "http://example.org/x.tgz",
    "git+ssh://example.org/x",
    "x@http://example.org",
    "x@^1.0.0",
    "x@file:../x",
    "x&&id",
    "x|id",
    "é",
  ]
  for (const name of bad) {
    it(`is never ${JSON.stringify(name)}`, () => {
      assert.deepStrictEqual([apt(name)._tag, npm(name)._tag], ["None", "None"])
    })
  }
})
