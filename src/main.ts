#!/usr/bin/env node
/**
 * The entry, which any Node can parse: one that is too old says so instead of failing on an import. The program is imported after the
 * compile cache is on, because a short command would otherwise spend most of its time on compiling.
 */
import process from "node:process"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`lamplighter needs Node >= 22.19, this is v${process.versions.node}\n`)
  process.exitCode = 1
} else {
  const { enableCompileCache } = await import("node:module")
  enableCompileCache()
  await import("./cli/Program.ts")
}
