/** The Docker runtime as consumers import it: agents in hardened containers, and what asks the engine beside it. */
export * as DockerEngine from "./DockerEngine.ts"
export * as DockerRuntime from "./DockerRuntime.ts"
export * as EngineChecks from "./EngineChecks.ts"
export * as ImageBuilder from "./ImageBuilder.ts"
