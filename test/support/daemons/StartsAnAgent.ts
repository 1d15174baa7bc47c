/**
 * A daemon for tests: opens the process runtime, starts one agent, says its handle once it has heard its first line, and then
 * lives until somebody kills it. Arguments: the runtime's options and the spec, as JSON.
 */
import { Effect, Stream } from "effect"
import { ProcessRuntime, type ProcessRuntimeOptions } from "../../../src/layers/process/ProcessRuntime.ts"
import { ContainerRuntime, type LaunchSpec } from "../../../src/services/ContainerRuntime.ts"

const options = JSON.parse(process.argv[2] ?? "") as ProcessRuntimeOptions
const spec = JSON.parse(process.argv[3] ?? "") as LaunchSpec

const program = Effect.gen(function* () {
  const runtime = yield* ContainerRuntime
  yield* Stream.runForEach(runtime.events, (event) =>
    Effect.sync(() => {
      if (event._tag === "Line") process.stdout.write(`${event.ref.handle}\n`)
    }),
  ).pipe(Effect.forkScoped({ startImmediately: true }))
  yield* runtime.start(spec)
  return yield* Effect.never
})

// A timer holds the process: children and their followers do not.
setInterval(() => {}, 60_000)
await Effect.runPromise(Effect.scoped(Effect.provide(program, ProcessRuntime.layer(options))))
