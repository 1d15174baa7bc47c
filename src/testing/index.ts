/**
 * For tests and simulated timelines of consumers: a whole Lamplighter in memory, and agents that behave, stall and crash on cue.
 * Run them under effect's TestClock; a week of timeline takes about a second.
 */
export * from "../layers/memory/index.ts"
export { CrashPoint, type CrashPointName } from "../services/CrashPoint.ts"
export * from "./Timeline.ts"
