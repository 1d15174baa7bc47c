/**
 * Stands on a unix socket in front of a Docker engine's and treats each request as the test says. It also counts them, so that a
 * test can hold a path to its calls.
 */
import { existsSync, chmodSync, mkdtempSync, rmSync } from "node:fs"
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

/**
 * `pass`. `hang`: never asked, never answered. `deaf`: asked, and the answer never comes. `drop`: asked, and the connection is cut
 * before the answer. `cut`: never asked, the connection is cut. A number: asked after so many milliseconds.
 */
export type Treatment = "pass" | "hang" | "deaf" | "drop" | "cut" | number

export interface EngineProxy {
  readonly socketPath: string
  /** `POST /containers/create` and the like, without version, ids and parameters; in order. */
  readonly requests: ReadonlyArray<string>
  readonly forget: () => void
  /** How requests from now on are treated. */
  readonly treat: (treatment: (request: string) => Treatment) => void
  /** Ends every answer that is under way. */
  readonly cutAll: () => void
  /** The engine is down: nothing listens, nothing is left open. */
  readonly refuse: Effect.Effect<void>
  readonly listen: Effect.Effect<void>
}

const nameOf = (incoming: IncomingMessage): string => {
  const { pathname, searchParams } = new URL(incoming.url ?? "/", "http://engine")
  const path = pathname.replace(/^\/v[0-9.]+/, "").replace(/^(\/containers\/)(?!create|json)[^/]+/, "$1{id}")
  return `${incoming.method ?? ""} ${path}${searchParams.get("follow") === "true" ? " follow" : ""}`
}

/** Where the real one listens. */
export const engineSocket = (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock").replace(
  /^unix:\/\//,
  "",
)

export const makeEngineProxy = Effect.fnUntraced(function* (engineSocket: string) {
  const directory = mkdtempSync(join(tmpdir(), "lamplighter-engine-"))
  chmodSync(directory, 0o755)
  const socketPath = join(directory, "engine.sock")
  const requests: Array<string> = []
  const open = new Set<ServerResponse>()
  let treatment: (request: string) => Treatment = () => "pass"
  let server: Server | null = null

  const forward = (
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    how: "pass" | "deaf" | "drop",
  ): void => {
    const asked = request(
      {
        socketPath: engineSocket,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers,
        agent: false,
      },
      (answer) => {
        if (how === "drop") {
          answer.resume()
          outgoing.destroy()
          return
        }
        if (how === "deaf") {
          answer.resume()
          return
        }
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        outgoing.flushHeaders()
        answer.pipe(outgoing)
        answer.once("error", () => outgoing.destroy())
      },
    )
    asked.once("error", () => outgoing.destroy())
    // What was asked stays asked; a stream that nobody reads any more ends.
    outgoing.once("close", () => {
      if (how === "pass") asked.destroy()
    })
    incoming.pipe(asked)
  }

  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const name = nameOf(incoming)
    requests.push(name)
    open.add(outgoing)
    outgoing.once("close", () => open.delete(outgoing))
    outgoing.on("error", () => {})
    const how = treatment(name)
    if (typeof how === "number") setTimeout(() => forward(incoming, outgoing, "pass"), how)
    else if (how === "cut") outgoing.destroy()
    else if (how === "hang") incoming.resume()
    else forward(incoming, outgoing, how)
  }

  const cutAll = (): void => {
    for (const outgoing of open) outgoing.destroy()
  }

  const listen = Effect.callback<void>((resume) => {
    const started = createServer(serve)
    server = started
    started.listen(socketPath, () => {
      chmodSync(socketPath, 0o666)
      resume(Effect.void)
    })
  })

  const refuse = Effect.callback<void>((resume) => {
    const ending = server
    server = null
    if (ending === null) return resume(Effect.void)
    cutAll()
    ending.close(() => {
      if (existsSync(socketPath)) rmSync(socketPath)
      resume(Effect.void)
    })
    ending.closeAllConnections()
  })

  yield* listen
  yield* Effect.addFinalizer(() =>
    refuse.pipe(Effect.andThen(Effect.sync(() => rmSync(directory, { recursive: true, force: true })))),
  )

  const proxy: EngineProxy = {
    socketPath,
    requests,
    forget: () => requests.splice(0),
    treat: (next) => {
      treatment = next
    },
    cutAll,
    refuse,
    listen,
  }
  return proxy
})
