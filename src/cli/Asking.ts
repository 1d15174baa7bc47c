/** Commands that ask one operation and show what it answers, and the flags of those among them that list rows. */
import { Effect } from "effect"
import type { Command } from "effect/cli"
import type { Client } from "../layers/http/SocketClient.ts"
import { DEFAULT_PAGE, MAX_PAGE, PageLimit } from "../services/operations/Requests.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { counted, number, type Said, text } from "./Flags.ts"
import { showing } from "./Root.ts"

const asking =
  <E, R>(connect: Effect.Effect<Client, E, R>) =>
  <const Flags extends Command.Command.Config, Answer, E2, R2>(
    ask: (api: Client) => (said: Said<Flags>) => Effect.Effect<Answer, E2, R2>,
    name: string,
    says: string | null,
    flags: Flags,
    lines: (answer: Answer, said: Said<Flags>, say: (hint: string) => string) => ReadonlyArray<string>,
  ) =>
    showing(name, says, flags, (said) => Effect.flatMap(connect, (api) => ask(api)(said)), lines)

/** One that only reads: it works without a daemon too. */
export const reading = asking(connectReading)

/** One that changes something. */
export const changing = asking(connectDaemon)

/** Of every listing: how many rows, and where the page starts. */
export const limitFlag = counted(
  "limit",
  PageLimit,
  `Rows of one page, at most ${MAX_PAGE}; ${DEFAULT_PAGE} if not said`,
)

export const pageFlags = {
  limit: limitFlag,
  after: text("after", "Start after the id of the last row of the page before"),
}

/** For listings whose rows have a position. */
export const positionFlags = {
  limit: limitFlag,
  after: number("after", "Start after the position of the last row of the page before"),
}
