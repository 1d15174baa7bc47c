/** The two flags of every listing: how many rows, and where the page starts. */
import { Flag } from "effect/cli"
import { DEFAULT_PAGE, MAX_PAGE, PageLimit } from "../services/operations/Requests.ts"

export const limitFlag = Flag.Int("limit").pipe(
  Flag.withSchema(PageLimit),
  Flag.withDescription(`Rows of one page, at most ${MAX_PAGE}; ${DEFAULT_PAGE} if not said`),
  Flag.optional,
)

export const pageFlags = (after: string) => ({
  limit: limitFlag,
  after: Flag.String("after").pipe(Flag.withDescription(`Start after ${after}`), Flag.optional),
})

/** For listings whose rows have a position. */
export const positionFlags = (after: string) => ({
  limit: limitFlag,
  after: Flag.Int("after").pipe(Flag.withDescription(`Start after ${after}`), Flag.optional),
})
