/** Serves the API on a unix socket that only its owner can open. A socket left by a dead daemon is replaced. */
import { NodeHttpServer } from "@effect/platform-node"
import { ByteSize, Effect, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import * as fs from "node:fs"
import { createServer } from "node:http"
import { Operations } from "../../services/Operations.ts"
import { Api } from "./Api.ts"
import { prepareSocket } from "./PrivateSocket.ts"

const handlers = HttpApiBuilder.group(
  Api,
  "ledger",
  Effect.fn(function* (group) {
    const operations = yield* Operations
    return group.handleAll({
      status: () => operations.status,
      groups: () => operations.groups,
      addGroup: ({ payload }) => operations.addGroup(payload),
      group: ({ params }) => operations.group(params.id),
      updateGroup: ({ params, payload }) => operations.updateGroup(params.id, payload),
      sessions: ({ query }) => operations.sessions(query),
      session: ({ params }) => operations.session(params.id),
      liveOutput: ({ params }) => operations.liveOutput(params.id),
      controlSession: ({ params, payload }) => operations.controlSession(params.id, payload.what),
      send: ({ payload }) => operations.send(payload),
      messages: ({ query }) => operations.messages(query),
      message: ({ params }) => operations.message(params.id),
      cancelMessage: ({ params, query }) => operations.cancelMessage(params.id, query.which),
      redriveMessage: ({ params }) => operations.redriveMessage(params.id),
      deliveries: ({ query }) => operations.deliveries(query),
      redriveDelivery: ({ payload }) => operations.redriveDelivery(payload.id),
      task: ({ params, query }) => operations.task(params.id, query.count),
      backfillTask: ({ params, payload }) => operations.backfillTask(params.id, payload),
      tasks: ({ query }) => operations.tasks(query),
      addTask: ({ payload }) => operations.addTask(payload),
      changeTask: ({ params, payload }) => operations.changeTask(params.id, payload.change),
      runTask: ({ params }) => operations.runTask(params.id),
      events: ({ query }) => operations.events(query),
      runs: ({ query }) => operations.runs(query),
      backup: ({ payload }) => Effect.as(operations.backup(payload.path), { path: payload.path }),
      shutdown: () => Effect.as(operations.shutdown, { stopping: true as const }),
    })
  }),
)

/** The API's routes, answered by `Operations`; whoever serves them chooses the transport. */
export const apiLayer = HttpApiBuilder.layer(Api).pipe(Layer.provide(handlers))

/** Of a request: the largest content that a configuration can allow, and what stands around it. */
const MAX_BODY_BYTES = 17 * 1024 * 1024

/** Serves on a socket of mode 0600 in a directory that is its user's alone. The caller holds that directory's lock. */
export const layer = (socketPath: string) => {
  const served = HttpRouter.serve(apiLayer, {
    disableLogger: true,
    disableListenLog: true,
  }).pipe(
    Layer.provide(
      Layer.unwrap(
        Effect.as(
          prepareSocket(socketPath),
          NodeHttpServer.layer(() => createServer(), { path: socketPath }),
        ),
      ),
    ),
    Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.fromInputUnsafe(MAX_BODY_BYTES))),
  )
  return Layer.effectDiscard(Effect.sync(() => fs.chmodSync(socketPath, 0o600))).pipe(
    Layer.provideMerge(served),
  )
}
