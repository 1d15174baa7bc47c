/**
 * The calls that Lamplighter makes to a Docker engine, each with a deadline, through dockerode and nothing else. What fails is an
 * `EngineError` that says whether the engine refused (with its status), was never reached, or may have done it.
 */
import Docker from "dockerode"
import type { Readable } from "node:stream"

/**
 * `refused`: the engine answered with an error. `unreachable`: nothing was asked. `unanswered`: asked, and no answer came: it
 * may have happened.
 */
export class EngineError extends Error {
  override readonly name = "EngineError"
  readonly kind: "refused" | "unreachable" | "unanswered"
  readonly status: number | null

  constructor(kind: EngineError["kind"], status: number | null, message: string) {
    super(message)
    this.kind = kind
    this.status = status
  }
}

export interface EngineOptions {
  /** A unix socket; null takes DOCKER_HOST, then the usual place. */
  readonly socketPath: string | null
  /** Deadline of a call that only asks or signals. */
  readonly callMs: number
  /** Deadline of create, start and remove. */
  readonly changeMs: number
}

const UNREACHABLE = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "EPERM", "ENOTFOUND", "EHOSTUNREACH"])

const engineError = (error: unknown, what: string): EngineError => {
  if (error instanceof EngineError) return error
  const fault = error as { statusCode?: number; code?: string; message?: string; json?: { message?: string } }
  if (typeof fault.statusCode === "number") {
    const told = fault.json?.message ?? fault.message ?? ""
    return new EngineError("refused", fault.statusCode, `${what}: ${told.trim()}`)
  }
  const kind = UNREACHABLE.has(fault.code ?? "") ? "unreachable" : "unanswered"
  return new EngineError(kind, null, `${what}: ${fault.message ?? String(error)}`)
}

export interface DockerEngine {
  readonly docker: Docker
  /** How many calls were made, streams included: the common path is held to a number by a test. */
  readonly calls: () => number
  readonly ask: <A>(what: string, call: (abortSignal: AbortSignal) => Promise<A>) => Promise<A>
  readonly change: <A>(what: string, call: (abortSignal: AbortSignal) => Promise<A>) => Promise<A>
  /** The deadline holds until the engine has answered; then the stream lives until `signal` or its end. */
  readonly stream: (
    what: string,
    signal: AbortSignal,
    call: (abortSignal: AbortSignal) => Promise<NodeJS.ReadableStream>,
  ) => Promise<Readable>
}

export const makeDockerEngine = (options: EngineOptions): DockerEngine => {
  const docker = new Docker(options.socketPath === null ? undefined : { socketPath: options.socketPath })
  let calls = 0

  const within = async <A>(
    what: string,
    milliseconds: number,
    outer: AbortSignal | null,
    call: (abortSignal: AbortSignal) => Promise<A>,
  ): Promise<A> => {
    calls += 1
    const abort = new AbortController()
    const stop = (): void => abort.abort()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new EngineError("unanswered", null, `${what}: the engine did not answer within ${milliseconds} ms`),
        )
        abort.abort()
      }, milliseconds)
    })
    if (outer?.aborted === true) abort.abort()
    outer?.addEventListener("abort", stop, { once: true })
    try {
      const answer = await Promise.race([call(abort.signal), late])
      // A stream goes on under `outer`, which may outlive many of them.
      if (outer !== null) (answer as Readable).once("close", () => outer.removeEventListener("abort", stop))
      return answer
    } catch (error) {
      outer?.removeEventListener("abort", stop)
      throw engineError(error, what)
    } finally {
      clearTimeout(timer)
      if (outer === null) abort.abort()
    }
  }

  return {
    docker,
    calls: () => calls,
    ask: (what, call) => within(what, options.callMs, null, call),
    change: (what, call) => within(what, options.changeMs, null, call),
    stream: async (what, signal, call) => {
      const stream = (await within(what, options.callMs, signal, call)) as Readable
      // Torn connections end a stream with an error; who reads it sees the end.
      stream.on("error", () => {})
      return stream
    },
  }
}

export const hasImage = async (engine: DockerEngine, tag: string): Promise<boolean> => {
  try {
    await engine.ask(`image ${tag} can't be looked up`, () => engine.docker.getImage(tag).inspect())
    return true
  } catch (error) {
    if (error instanceof EngineError && error.status === 404) return false
    throw error
  }
}
