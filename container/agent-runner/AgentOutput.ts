/**
 * Copies what one of the agent's programs writes into this runner's log, line by line and bounded. The host keeps that log, so the last
 * words of a program that hangs and is killed are not lost. The first lines are copied as they come, the last ones at the end.
 */
import { log } from "./Log.ts"

/** The limit for the first lines and for the last lines, each with the overhead of a log line. */
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
    // An endless line is cut.
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
