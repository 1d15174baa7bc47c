/**
 * One daemon's work by whatever user runs it: a pair of files, a container on it, and what either can read of the other's. Tells
 * it as one line of JSON. The engine is DOCKER_HOST's.
 */
import { Effect } from "effect"
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeDockerWorld } from "./DockerWorld.ts"

const agent = `
  const fs = require("node:fs")
  const found = fs.readFileSync("/workspace/in/for-the-agent.txt", "utf8")
  fs.mkdirSync("/workspace/outbox/one", { recursive: true, mode: 0o700 })
  fs.writeFileSync("/workspace/outbox/one/secret.txt", "from " + process.getuid() + ":" + process.getgid(), { mode: 0o600 })
  fs.appendFileSync("/workspace/outbound.db", "and the agent", { mode: 0o600 })
  fs.writeFileSync("/workspace/agent/note.md", found, { mode: 0o600 })
  fs.writeFileSync("/home/node/x", "")`

const program = Effect.gen(function* () {
  const world = yield* makeDockerWorld
  const runtime = yield* world.open(world.install)
  const spec = world.program("one", ["node", "-e", agent])
  writeFileSync(join(spec.inDir, "for-the-agent.txt"), "from the host", { mode: 0o600 })
  writeFileSync(join(spec.outDir, "outbound.db"), "the host ", { mode: 0o600 })
  const ref = yield* runtime.start(spec)
  let [status] = yield* runtime.list
  while (status?._tag !== "Exited") [status] = yield* runtime.list
  const { stderr } = yield* runtime.output(ref, 10_000)
  const secret = join(spec.outDir, "outbox", "one", "secret.txt")
  return {
    host: `${process.getuid?.()}:${process.getgid?.()}`,
    exitCode: status.exit.exitCode,
    stderr,
    secret: status.exit.exitCode === 0 ? readFileSync(secret, "utf8") : null,
    owner: status.exit.exitCode === 0 ? statSync(secret).uid : null,
    outbound: readFileSync(join(spec.outDir, "outbound.db"), "utf8"),
    note: status.exit.exitCode === 0 ? readFileSync(join(spec.groupDir, "note.md"), "utf8") : null,
  }
})

process.stdout.write(`${JSON.stringify(await Effect.runPromise(Effect.scoped(program)))}\n`)
