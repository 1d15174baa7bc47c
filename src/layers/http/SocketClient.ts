/** The client of a running daemon, through the socket in its data directory: the operations, each a request of its own. */
import { Effect, Schema } from "effect"
import { Invalid } from "../../services/ledger/Refusals.ts"
import type { OperationsThat } from "../../services/operations/Contract.ts"
import { notUnderstood, wire } from "./Wire.ts"

/** Nobody took the request, or nobody answered it: the daemon is gone, or on its way out. */
export class Unanswered extends Schema.TaggedError<Unanswered>()("Unanswered", { message: Schema.String }) {}

/** What answered is no daemon of this version. */
export class UnexpectedAnswer extends Schema.TaggedError<UnexpectedAnswer>()("UnexpectedAnswer", {
  message: Schema.String,
}) {}

export type Client = OperationsThat<Invalid | Unanswered | UnexpectedAnswer>

/** As long as a ledger may take to be copied without a word in between. */
const SILENCE_MS = 300_000

/** An import of this module would read each of its exports, one of which loads the whole of fetch. */
const { request } = process.getBuiltinModule("node:http")

const post = (socketPath: string, name: string, body: string) =>
  Effect.callback<{ readonly status: number; readonly body: string }, Unanswered>((resume) => {
    const failed = (cause: Error) => resume(Effect.fail(new Unanswered({ message: cause.message })))
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
    const sent = request({ socketPath, path: `/${name}`, method: "POST", headers, timeout: SILENCE_MS })
    sent.once("timeout", () => sent.destroy(new Error(`no word for ${SILENCE_MS / 1_000} s`)))
    sent.on("error", failed)
    sent.once("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.once("error", failed)
      response.once("end", () =>
        resume(
          Effect.succeed({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        ),
      )
    })
    sent.end(body)
    return Effect.sync(() => sent.destroy())
  })

export const client = (socketPath: string): Client =>
  Object.fromEntries(
    Array.from(wire, ([name, operation]) => {
      const unexpected = ({ message }: Error) => new UnexpectedAnswer({ message: `${name}: ${message}` })
      const call = Effect.fnUntraced(function* (input: unknown = {}) {
        const body = yield* Schema.encodeUnknownEffect(operation.input)(input).pipe(
          Effect.mapError((problem) => notUnderstood(name, problem)),
        )
        const answer = yield* post(socketPath, name, body)
        const decoded = <A>(form: Schema.Codec<A, string>) =>
          Effect.mapError(Schema.decodeEffect(form)(answer.body), unexpected)
        if (answer.status === 200) return yield* decoded(operation.output)
        return yield* Effect.flatMap(decoded(operation.error), Effect.fail)
      })
      return [name, call]
    }),
  ) as Client
