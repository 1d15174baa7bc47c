/** The two flags of every listing: how many rows, and where the page starts. */
import { DEFAULT_PAGE, MAX_PAGE, PageLimit } from "../services/operations/Requests.ts"
import { counted, number, text } from "./Flags.ts"

export const limitFlag = counted(
  "limit",
  PageLimit,
  `Rows of one page, at most ${MAX_PAGE}; ${DEFAULT_PAGE} if not said`,
)

export const pageFlags = (after: string) => ({
  limit: limitFlag,
  after: text("after", `Start after ${after}`),
})

/** For listings whose rows have a position. */
export const positionFlags = (after: string) => ({
  limit: limitFlag,
  after: number("after", `Start after ${after}`),
})
