/** How the requests look things up in the ledger: a page of a listing, a filter, one row by its id. */
import { Effect } from "effect"
import { NotFound } from "../ledger/Refusals.ts"
import type { Page } from "../LedgerDriver.ts"
import { DEFAULT_PAGE } from "./Requests.ts"

/** A listing's page as the ledger takes it: what a request does not say has a default, so that no listing is unbounded. */
export const pageOf = (page: { readonly [Field in keyof Page]?: Page[Field] | undefined }): Page => ({
  limit: page.limit ?? DEFAULT_PAGE,
  after: page.after,
})

/** A filter for this one; none where none is asked for. */
export const only = <A>(one: A | undefined) => (one === undefined ? undefined : [one])

/** Refuses where nothing was found under the id. */
export const existing =
  (entity: NotFound["entity"], id: string) =>
  <A>(found: A | undefined): Effect.Effect<A, NotFound> =>
    found === undefined ? Effect.fail(NotFound.of(entity, id)) : Effect.succeed(found)
