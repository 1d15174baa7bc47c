/** A listing's page as the ledger takes it: what a request does not say has a default, so that no listing is unbounded. */
import type { Page } from "../LedgerDriver.ts"
import { DEFAULT_PAGE } from "./Requests.ts"

export const pageOf = (page: {
  readonly limit?: number | undefined
  readonly after?: string | number | undefined
}): Page => ({ limit: page.limit ?? DEFAULT_PAGE, after: page.after })
