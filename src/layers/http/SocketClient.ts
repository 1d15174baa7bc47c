/** The typed client of a running daemon, through the socket in its data directory. It lives as long as its scope. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { Api } from "./Api.ts"

export const client = Effect.fnUntraced(function* (socketPath: string) {
  const transport = yield* Layer.build(NodeHttpClient.layerUndiciOptions({ connect: { socketPath } }))
  return yield* HttpApiClient.make(Api, {
    transformClient: (http) =>
      http.pipe(HttpClient.mapRequest(HttpClientRequest.prependUrl("http://lamplighter"))),
  }).pipe(Effect.provideContext(transport))
})
