/** What a scenario expects, compared with what the ledger says at its end. */
import type { LedgerReader } from "../services/LedgerDriver.ts"
import type { Expectation } from "./Scenario.ts"

/** What of an expectation does not hold, in words. */
export const unmet = (reader: LedgerReader, wanted: Expectation): ReadonlyArray<string> => {
  const found: Array<string> = []
  const compare = (what: string, expected: unknown, actual: unknown): void => {
    if (expected !== undefined && expected !== actual)
      found.push(`expected ${what} to be ${String(expected)}, and it is ${String(actual)}`)
  }
  if (wanted.message !== undefined) {
    const message = reader.message(wanted.message)
    compare(`the state of message ${wanted.message}`, wanted.state, message?.state)
    compare(`the tries of message ${wanted.message}`, wanted.tries, message?.tries)
    compare(`the attempts of message ${wanted.message}`, wanted.attempts, message?.attempts)
  }
  if (wanted.session !== undefined) {
    const id = wanted.session
    const session = reader.session(id)
    const lives = session?.incarnation ?? 0
    compare(`session ${id} being live`, wanted.live, session?.live)
    if (lives > (wanted.livesAtMost ?? Infinity))
      found.push(`session ${id} had ${lives} lives, over ${wanted.livesAtMost}`)
    if (lives < (wanted.livesAtLeast ?? 0))
      found.push(`session ${id} had ${lives} lives, under ${wanted.livesAtLeast}`)
  }
  if (wanted.task !== undefined) {
    compare(`the status of task ${wanted.task}`, wanted.status, reader.series(wanted.task)?.status)
    const runs = reader
      .runs({ seriesId: wanted.task }, { limit: 100_000 })
      .filter(({ messageId }) => messageId !== null)
    if (runs.length < (wanted.runsAtLeast ?? 0))
      found.push(`task ${wanted.task} ran ${runs.length} times, under ${wanted.runsAtLeast}`)
  }
  return found
}
