/** A real HTTP server on a loopback port of its own: records requests and answers as it is told. */
import { Effect, type Scope } from "effect"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"

export interface ReceivedRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface WebhookReceiver {
  readonly origin: string
  readonly requests: ReadonlyArray<ReceivedRequest>
  readonly openSockets: () => number
  /** Resolves when this many requests have arrived whole. */
  readonly arrived: (count: number) => Promise<void>
  /** How the next requests are answered. */
  answer: (request: ReceivedRequest, response: ServerResponse) => void
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString("utf8")
}

const start = async () => {
  const requests: Array<ReceivedRequest> = []
  const sockets = new Set<Socket>()
  const waiting: Array<{ readonly count: number; readonly resolve: () => void }> = []
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = "", url: path = "", headers } = request
    const received = { method, path, headers, body: await bodyOf(request) }
    requests.push(received)
    receiver.answer(received, response)
    for (const { count, resolve } of waiting) if (requests.length >= count) resolve()
  }
  const server = createServer((request, response) => {
    receive(request, response).catch(() => response.destroy())
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const receiver: WebhookReceiver = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    openSockets: () => sockets.size,
    arrived: (count) =>
      new Promise((resolve) => {
        if (requests.length >= count) resolve()
        else waiting.push({ count, resolve })
      }),
    answer: (_, response) => void response.end(),
  }
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { receiver, close }
}

export const webhookReceiver: Effect.Effect<WebhookReceiver, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(start),
  ({ close }) => Effect.promise(close),
).pipe(Effect.map(({ receiver }) => receiver))
