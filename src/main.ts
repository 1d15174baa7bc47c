#!/usr/bin/env node
/**
 * The entry. The program is imported after the compile cache is on, because a command that takes half a second should not spend
 * another half on compiling what it compiled before.
 */
import { enableCompileCache } from "node:module"

enableCompileCache()
await import("./cli/Program.ts")
