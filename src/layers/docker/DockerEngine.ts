/**
 * The calls that Lamplighter makes to a Docker engine, each with a deadline, through dockerode and nothing else. What fails is an
 * `EngineError` that says whether the engine refused (with its status), was never reached, or may have done it.
 */
import type Docker from "dockerode"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import type { Readable } from "node:stream"

/**
 * `refused`: the engine answered with an error. `unreachable`: nothing was asked. `unanswered`: asked, and no answer came: it
 * may have happened.
 */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  kind: Schema.Literals(["refused", "unreachable", "unanswered"]),
  status: Schema.NullOr(Schema.Int),
  message: Schema.String,
}) {}

export interface EngineOptions {
  /** A unix socket; null takes DOCKER_HOST, then the usual place. */
  readonly socketPath: string | null
  /** Deadline of a call that only asks or signals. */
  readonly callMs: number
  /** Deadline of create, start and remove. */
  readonly changeMs: number
}

type Call<A> = (docker: Docker, abortSignal: AbortSignal) => Promise<A>

export class DockerEngine extends Context.Service<
  DockerEngine,
  {
    /** How many calls were made, streams included: a test limits the common path to a number. */
    readonly calls: () => number
    readonly ask: <A>(what: string, call: Call<A>) => Effect.Effect<A, EngineError>
    readonly change: <A>(what: string, call: Call<A>) => Effect.Effect<A, EngineError>
    /** The deadline holds until the engine has answered. Then the stream lives until its end or that of the scope. */
    readonly stream: (
      what: string,
      call: Call<NodeJS.ReadableStream>,
    ) => Effect.Effect<Readable, EngineError, Scope.Scope>
  }
>()("lamplighter/layers/docker/DockerEngine") {
  static readonly layer = (options: EngineOptions): Layer.Layer<DockerEngine> =>
    Layer.effect(DockerEngine, make(options))
}

const UNREACHABLE = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "EPERM", "ENOTFOUND", "EHOSTUNREACH"])

const engineError = (error: unknown, what: string): EngineError => {
  const fault = error as { statusCode?: number; code?: string; message?: string; json?: { message?: string } }
  if (typeof fault.statusCode === "number") {
    const told = fault.json?.message ?? fault.message ?? ""
    return new EngineError({ kind: "refused", status: fault.statusCode, message: `${what}: ${told.trim()}` })
  }
  const kind = UNREACHABLE.has(fault.code ?? "") ? "unreachable" : "unanswered"
  return new EngineError({ kind, status: null, message: `${what}: ${fault.message ?? String(error)}` })
}

const make = Effect.fnUntraced(function* (options: EngineOptions) {
  // Loaded here because it is large, and only who speaks to an engine needs it.
  const { default: Client } = yield* Effect.promise(() => import("dockerode"))
  const docker = new Client(options.socketPath === null ? undefined : { socketPath: options.socketPath })
  let calls = 0

  const within = <A>(milliseconds: number, what: string, call: Call<A>): Effect.Effect<A, EngineError> =>
    Effect.suspend(() => {
      calls += 1
      return Effect.tryPromise({
        try: (abortSignal) => call(docker, abortSignal),
        catch: (error) => engineError(error, what),
      })
    }).pipe(
      Effect.timeoutOrElse({
        duration: milliseconds,
        orElse: () =>
          new EngineError({
            kind: "unanswered",
            status: null,
            message: `${what}: the engine did not answer within ${milliseconds} ms`,
          }),
      }),
    )

  return DockerEngine.of({
    calls: () => calls,
    ask: (what, call) => within(options.callMs, what, call),
    change: (what, call) => within(options.changeMs, what, call),
    stream: (what, call) =>
      Effect.acquireRelease(
        Effect.map(within(options.callMs, what, call), (answer) => {
          const stream = answer as Readable
          // A connection that breaks ends the stream with an error. Whoever reads it sees the end.
          return stream.on("error", () => {})
        }),
        (stream) => Effect.sync(() => stream.destroy()),
        { interruptible: true },
      ),
  })
})

const SIGNS = ["readable", "end", "close"] as const

/** The next bytes of a stream, or null at its end, however it ended. */
export const nextBytes = (stream: Readable): Effect.Effect<Buffer | null> =>
  Effect.callback((resume) => {
    const stop = (): void => {
      for (const sign of SIGNS) stream.off(sign, look)
    }
    const look = (): void => {
      const bytes = stream.read() as Buffer | null
      if (bytes === null && !stream.readableEnded && !stream.destroyed) return
      stop()
      resume(Effect.succeed(bytes))
    }
    for (const sign of SIGNS) stream.on(sign, look)
    look()
    return Effect.sync(stop)
  })

/** Whether the engine refused with one of these statuses. */
export const isRefused = (error: { readonly _tag: string }, ...statuses: ReadonlyArray<number>): boolean =>
  error instanceof EngineError && error.status !== null && statuses.includes(error.status)

/** What the engine refuses with one of these statuses is as good as `value`. */
export const orElse =
  <B>(value: B, ...statuses: ReadonlyArray<number>) =>
  <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | B, E, R> =>
    Effect.catchIf(
      effect,
      (error) => isRefused(error, ...statuses),
      () => Effect.succeed(value),
    )

export const ask = <A>(what: string, call: Call<A>) => DockerEngine.use((engine) => engine.ask(what, call))
export const change = <A>(what: string, call: Call<A>) =>
  DockerEngine.use((engine) => engine.change(what, call))

export const hasImage = (tag: string) =>
  ask(`image ${tag} can't be looked up`, (docker) => docker.getImage(tag).inspect()).pipe(
    Effect.as(true),
    orElse(false, 404),
  )

export const inspect = (id: string) =>
  ask("the container can't be inspected", (docker, abortSignal) =>
    docker.getContainer(id).inspect({ abortSignal }),
  )

/** What it has written so far, in frames. */
export const readLog = (what: string, id: string, stderr: boolean) =>
  ask(what, (docker, abortSignal) =>
    docker.getContainer(id).logs({ follow: false, stdout: true, stderr, abortSignal }),
  )

/** Gone already, or somebody is about to remove it: as asked. */
export const removeContainer = (what: string, id: string, force: boolean) =>
  change(what, (docker, abortSignal) => docker.getContainer(id).remove({ force, v: true, abortSignal })).pipe(
    orElse(undefined, 404),
    Effect.catchIf(
      (error) => isRefused(error, 409) && /already in progress/i.test(error.message),
      () => Effect.void,
    ),
  )
