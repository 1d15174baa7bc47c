/**
 * A bounded copy of what one program of the agent's wrote, line by line in this runner's log, and so in the log of the life: when a
 * program hangs and is killed, its last words are there. The first lines are copied as they come, the last ones when it has ended.
 */
import { log } from "./Log.ts"

/** Of the first and of the last lines each, with what a log line costs beside its text. */
const MAX_CHARS = 8 * 1024
const LINE_CHARS = 32

export class AgentOutput {
  #copied = 0
  #line = ""
  #last: Array<string> = []
  #lastChars = 0
  #leftOut = 0

  write(text: string): void {
    const lines = (this.#line + text).split("\n")
    // A line without an end is cut, as a log line would be.
    this.#line = (lines.pop() ?? "").slice(-MAX_CHARS)
    for (const line of lines) this.#take(line)
  }

  /** The program has ended. */
  end(): void {
    this.#take(this.#line)
    this.#line = ""
    if (this.#leftOut > 0) log("agent", `[${this.#leftOut} lines are left out here]`)
    for (const line of this.#last) log("agent", line)
    this.#last = []
  }

  #take(line: string): void {
    if (line.trim() === "") return
    const chars = line.length + LINE_CHARS
    if (this.#copied + chars <= MAX_CHARS) {
      this.#copied += chars
      log("agent", line)
      return
    }
    this.#copied = MAX_CHARS
    this.#last.push(line.slice(0, MAX_CHARS))
    this.#lastChars += chars
    while (this.#lastChars > MAX_CHARS && this.#last.length > 1) {
      this.#lastChars -= (this.#last.shift() ?? "").length + LINE_CHARS
      this.#leftOut += 1
    }
  }
}
