/** What the settings say to the layers of Docker, said once for the daemon and for the commands that ask the engine themselves. */
import { fileURLToPath } from "node:url"
import type { Settings } from "../layers/Configuration.ts"
import type { EngineOptions } from "../layers/docker/DockerEngine.ts"
import type { ImageBuilderOptions } from "../layers/docker/ImageBuilder.ts"

/** Where the agent image's Dockerfile is. */
const contextDir = fileURLToPath(new URL("../../container", import.meta.url))

export const engineOptions = ({ docker }: Settings): EngineOptions => ({
  socketPath: docker.socket === "" ? null : docker.socket,
  callMs: docker.callTimeoutMs,
  changeMs: docker.changeTimeoutMs,
})

export const builderOptions = ({ docker }: Settings): Omit<ImageBuilderOptions, "install" | "tell"> => ({
  agent: docker.image,
  base: docker.baseImage,
  build: docker.build,
  network: docker.buildNetwork,
  timeoutMs: docker.buildTimeoutMs,
  contextDir,
})
