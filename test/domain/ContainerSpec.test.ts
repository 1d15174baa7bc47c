import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  buildContainerSpec,
  containerUser,
  defaultSandbox,
  type HostIdentity,
  Sandbox,
  SandboxOverride,
} from "../../src/domain/ContainerSpec.ts"

const root: HostIdentity = { uid: 0, gid: 0, engine: "rootful" }
const somebody: HostIdentity = { uid: 1_007, gid: 1_008, engine: "rootful" }

const accepts = (change: unknown): boolean =>
  Schema.decodeUnknownResult(SandboxOverride)(change)._tag === "Success"

const build = (host: HostIdentity, sandbox: Sandbox) =>
  buildContainerSpec({
    name: "lamplighter-one",
    image: "agent:1",
    labels: {},
    host,
    sandbox,
    env: { TZ: "Asia/Tokyo" },
    places: {
      inDir: "/data/in",
      outDir: "/data/out",
      groupDir: "/data/group",
      globalDir: "/data/global",
      containerJson: "/data/group/container.json",
      runnerDir: "/opt/runner",
      runnerEntry: "main.ts",
      skills: null,
      stateDir: null,
    },
    extraBinds: [{ source: "/srv/x", target: "/workspace/extra/x", access: "read-only" }],
    maxLogBytes: 1_000,
    graceMs: 1_500,
  })

describe("the user inside", () => {
  it("is the daemon's own, so that both read what the other writes", () => {
    assert.strictEqual(containerUser(somebody, null), "1007:1008")
  })

  it("is an ordinary one where the daemon is root, whatever root's own files are", () => {
    assert.strictEqual(containerUser(root, null), "1000:1000")
  })

  it("is the root of a rootless engine, which is the daemon's user outside", () => {
    assert.strictEqual(containerUser({ ...somebody, engine: "rootless" }, null), "0:0")
    assert.strictEqual(containerUser({ ...somebody, engine: "rootless" }, "4321:4321"), "0:0")
  })

  it("is another one where a group says so", () => {
    assert.strictEqual(containerUser(root, "4321:4322"), "4321:4322")
  })
})

describe("what a group may change", () => {
  it("is nothing that gives up the boundary", () => {
    for (const network of ["host", "container:abc", "", "-x", "a b", "ns:/proc/1/ns/net"])
      assert.isFalse(accepts({ network }), network)
    for (const user of ["0:0", "0:1000", "1000:0", "root", "1000", "-1:1", "1000:1000:1"])
      assert.isFalse(accepts({ user }), user)
    assert.isFalse(accepts({ command: [] }))
    assert.isFalse(accepts({ command: [""] }))
    assert.isFalse(accepts({ rootFilesystem: "shared" }))
  })

  it("is bounded on both sides", () => {
    for (const field of [
      "memoryBytes",
      "pids",
      "openFiles",
      "maxFileBytes",
      "temporaryBytes",
      "homeBytes",
    ] as const)
      for (const value of [0, -1, 1.5, Infinity, Number.NaN, Number.MAX_SAFE_INTEGER])
        assert.isFalse(accepts({ [field]: value }), `${field} ${value}`)
    for (const cpus of [0, -1, Infinity, Number.NaN, 2_000]) assert.isFalse(accepts({ cpus }), `${cpus}`)
  })

  it("is any single field, and the default is one that would be accepted", () => {
    for (const [field, value] of Object.entries(defaultSandbox))
      assert.isTrue(accepts({ [field]: value }), field)
    assert.isTrue(accepts({}))
    assert.isTrue(accepts({ network: "inside", command: ["/entry", "--now"], user: "1:1" }))
  })
})

describe("the container of a session", () => {
  const spec = build(root, defaultSandbox)

  it("can write its own rows and its group's folder, and nothing else of the host's", () => {
    assert.deepStrictEqual(
      spec.binds.filter(({ access }) => access === "read-write").map(({ target }) => target),
      ["/workspace", "/workspace/agent"],
    )
  })

  it("has every mount after the one that it lies in, and none twice", () => {
    const targets = spec.binds.map(({ target }) => target)
    assert.strictEqual(new Set(targets).size, targets.length)
    targets.forEach((target, at) => {
      for (const later of targets.slice(at + 1))
        assert.isFalse(target.startsWith(`${later}/`), `${target} in ${later}`)
    })
  })

  it("runs the runner, or what its group says", () => {
    assert.deepStrictEqual(spec.command, ["node", "/app/src/main.ts"])
    assert.deepStrictEqual(build(root, { ...defaultSandbox, command: ["/entry"] }).command, ["/entry"])
  })

  it("has a HOME of its own and no scratch space from which a program could be run but that", () => {
    assert.deepStrictEqual(spec.env, { HOME: "/home/node", TZ: "Asia/Tokyo" })
    assert.deepStrictEqual(
      spec.temporary.map(({ programs, target }) => [target, programs]),
      [
        ["/tmp", "refused"],
        ["/home/node", "allowed"],
      ],
    )
  })

  it("is limited by exactly what it was given", () => {
    const sandbox: Sandbox = { ...defaultSandbox, pids: 9, memoryBytes: 20 * 1024 * 1024, network: "inside" }
    assert.deepStrictEqual(build(root, sandbox).sandbox, sandbox)
  })
})
