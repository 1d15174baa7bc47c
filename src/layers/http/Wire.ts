/**
 * How an operation travels: `POST /<name>` with its input as JSON; the answer is JSON too, its output with status 200 or its error with
 * the status below. Derived from the declaration of the operations, for both ends.
 */
import { Schema } from "effect"
import { Invalid } from "../../services/ledger/Refusals.ts"
import { contract } from "../../services/operations/Contract.ts"

type Text<A> = Schema.Codec<A, string>

interface Operation {
  readonly input: Text<unknown>
  readonly output: Text<unknown>
  /** What the operation declares, and what any request can be told before it reaches one. */
  readonly error: Text<Refused>
}

export interface Refused {
  readonly _tag: keyof typeof statusOfError
}

export const statusOfError = {
  NotFound: 404,
  Conflict: 409,
  Invalid: 422,
  Full: 429,
  RuntimeUnavailable: 502,
  LedgerError: 503,
} as const

export const wire: ReadonlyMap<string, Operation> = new Map(
  Object.entries(contract).map(([name, { input, output, error }]) => [
    name,
    {
      input: Schema.fromJsonString(input),
      output: Schema.fromJsonString(output),
      error: Schema.fromJsonString(Schema.Union([error, Invalid])),
    },
  ]),
)

/** An input that is not what the operation takes. */
export const notUnderstood = (name: string, problem: Schema.SchemaError): Invalid =>
  new Invalid({ field: "", message: `the request '${name}' is not understood: ${problem.message}` })
