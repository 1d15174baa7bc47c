/** Serves `Operations` on a unix socket that only its owner can open. A socket left by a dead daemon is replaced. */
import { Effect, FiberSet, Layer, Schema } from "effect"
import * as fs from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { Invalid } from "../../services/ledger/Refusals.ts"
import { Operations } from "../../services/Operations.ts"
import { prepareSocket, SocketError } from "./PrivateSocket.ts"
import { notUnderstood, type Refused, statusOfError, wire } from "./Wire.ts"

/** Of a request: the largest content that a configuration can allow, and what stands around it. */
const MAX_BODY_BYTES = 17 * 1024 * 1024
const MAX_CONNECTIONS = 1_000
/** How long requests that are being answered hold up a shutdown. */
const DRAIN_MS = 5_000

/** Undefined: larger than allowed. What is too large is read to its end, so that the sender hears the answer. */
const readBody = async (request: IncomingMessage): Promise<string | undefined> => {
  const chunks: Array<Buffer> = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks).toString("utf8") : undefined
}

const refused = (status: number, field: string, message: string) => ({
  status,
  body: JSON.stringify(new Invalid({ field, message })),
})

const reply = (status: number, form: Schema.Codec<unknown, string>, value: unknown) =>
  Effect.map(Schema.encodeUnknownEffect(form)(value), (body) => ({ status, body }))

const answer = Effect.fnUntraced(function* (operations: Operations["Service"], request: IncomingMessage) {
  const name = (request.url ?? "").slice(1)
  const operation = wire.get(name)
  const body = yield* Effect.promise(() => readBody(request))
  if (operation === undefined) {
    const known = [...wire.keys()].join(", ")
    return refused(404, "operation", `there is no operation '${name.slice(0, 100)}'; there are ${known}`)
  }
  if (request.method !== "POST") {
    return refused(405, "method", `an operation is asked for with POST, not with ${request.method}`)
  }
  if (body === undefined) return refused(413, "body", `a request has at most ${MAX_BODY_BYTES} bytes`)
  const call = operations[name as keyof typeof operations] as (
    input: unknown,
  ) => Effect.Effect<unknown, Refused>
  return yield* Schema.decodeEffect(operation.input)(body).pipe(
    Effect.mapError((problem) => notUnderstood(name, problem)),
    Effect.flatMap(call),
    Effect.matchEffect({
      onSuccess: (output) => reply(200, operation.output, output),
      onFailure: (error) => reply(statusOfError[error._tag], operation.error, error),
    }),
  )
})

const respond = (operations: Operations["Service"], request: IncomingMessage, response: ServerResponse) =>
  answer(operations, request).pipe(
    Effect.catchCause((cause) =>
      // Whoever asked went away; anything else is a mistake of ours.
      Effect.as(
        request.destroyed ? Effect.void : Effect.logError(`the request ${request.url ?? ""} failed`, cause),
        refused(500, "", "the daemon could not answer; its log says why"),
      ),
    ),
    Effect.map(({ body, status }) =>
      response.writeHead(status, { "content-type": "application/json" }).end(body),
    ),
  )

const listen = (server: Server, socketPath: string) =>
  Effect.callback<void, SocketError>((resume) => {
    const failed = ({ message: why }: Error) => {
      const message = `nothing can listen on ${socketPath}: ${why}`
      resume(Effect.fail(new SocketError({ reason: "Failed", message })))
    }
    server.once("error", failed)
    server.listen(socketPath, () => {
      server.off("error", failed)
      resume(Effect.void)
    })
  })

/** Takes no more requests, and waits for those that are being answered. */
const close = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeIdleConnections()
  }).pipe(Effect.timeoutOption(DRAIN_MS), Effect.andThen(Effect.sync(() => server.closeAllConnections())))

/** Serves on a socket of mode 0600 in a directory that is its user's alone. The caller holds that directory's lock. */
export const layer = (socketPath: string): Layer.Layer<never, SocketError, Operations> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const operations = yield* Operations
      const run = yield* FiberSet.makeRuntime<never>()
      yield* prepareSocket(socketPath)
      const server = createServer((request, response) => void run(respond(operations, request, response)))
      server.maxConnections = MAX_CONNECTIONS
      yield* Effect.acquireRelease(listen(server, socketPath), () => close(server))
      fs.chmodSync(socketPath, 0o600)
    }),
  )
