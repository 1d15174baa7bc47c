import { assert, describe, it } from "@effect/vitest"
import { buildContainerSpec, defaultSandbox } from "../../../src/domain/ContainerSpec.ts"
import { containerBody } from "../../../src/layers/docker/ContainerBody.ts"

const extraHosts = (network: string): ReadonlyArray<string> | undefined =>
  containerBody(
    buildContainerSpec({
      name: "lamplighter-one",
      image: "agent:1",
      labels: {},
      host: { uid: 1_000, gid: 1_000, engine: "rootful" },
      sandbox: { ...defaultSandbox, network },
      env: {},
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
      extraBinds: [],
      hostNames: ["host.docker.internal"],
      maxLogBytes: 1_000,
      graceMs: 1_000,
    }),
  ).HostConfig?.ExtraHosts

describe("the host's names", () => {
  it("are known to a container with a network, and to no other", () => {
    assert.deepStrictEqual(extraHosts("agents"), ["host.docker.internal:host-gateway"])
    assert.deepStrictEqual(extraHosts("none"), [])
  })
})
