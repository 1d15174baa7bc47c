import { describe } from "@effect/vitest"
import { dockerMissing, makeDockerWorld } from "../support/DockerWorld.ts"
import { containerRuntimeContract } from "./ContainerRuntime.contract.ts"

describe.skipIf(dockerMissing !== null)("on a real engine", () => {
  containerRuntimeContract("ContainerRuntime on Docker", makeDockerWorld)
})
