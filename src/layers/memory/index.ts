/** The in-memory layers as consumers import them: real implementations of the contracts that need no host and no disk. */
export * as MemoryChannels from "./MemoryChannels.ts"
export * as MemoryLedger from "./MemoryLedger.ts"
export * as MemoryMailbox from "./MemoryMailbox.ts"
export * as MemoryWorkspace from "./MemoryWorkspace.ts"
export * as ScriptedAgents from "./ScriptedAgents.ts"
export * as SimulatedEngine from "./SimulatedEngine.ts"
export * as SimulatedRuntime from "./SimulatedRuntime.ts"
