/** Commands that ask one operation and show what it answers, and the flags of those among them that list rows. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import type { Client } from "../layers/http/SocketClient.ts"
import { DEFAULT_PAGE, MAX_PAGE, PageLimit } from "../services/operations/Requests.ts"
import { connectDaemon, connectReading } from "./Connection.ts"
import { counted, given, number, type Said, text } from "./Flags.ts"
import { hints } from "./Invocation.ts"
import { show } from "./Output.ts"
import { jsonFlag } from "./Root.ts"

const asking =
  <E, R>(connect: Effect.Effect<Client, E, R>) =>
  /** `ask` takes what the flags say, under their names, and nothing of those that were left out. */
  <const Flags extends Command.Command.Config, Answer, E2>(
    ask: (api: Client) => (said: Said<Flags>) => Effect.Effect<Answer, E2>,
    name: string,
    says: string,
    flags: Flags,
    lines: (answer: Answer, said: Said<Flags>, say: (hint: string) => string) => ReadonlyArray<string>,
  ) =>
    Command.make(name, { flags, json: jsonFlag }, (input) =>
      Effect.gen(function* () {
        const said = given(input.flags)
        const answer = yield* ask(yield* connect)(said)
        const say = yield* hints
        yield* show(input.json, answer, () => lines(answer, said, say))
      }),
    ).pipe(Command.withDescription(says))

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
