/** The Docker runtime as consumers import it: agents in hardened containers of an engine, and what can be asked of an engine. */
export * as DockerRuntime from "./DockerRuntime.ts"
export * as EngineChecks from "./EngineChecks.ts"
