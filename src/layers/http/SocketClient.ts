/** The typed client of a running daemon, through the socket in its data directory. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { Api } from "./Api.ts"

export const client = (socketPath: string) =>
  HttpApiClient.make(Api, {
    transformClient: (http) =>
      http.pipe(HttpClient.mapRequest(HttpClientRequest.prependUrl("http://lamplighter"))),
  }).pipe(Effect.provide(NodeHttpClient.layerUndiciOptions({ connect: { socketPath } })))
