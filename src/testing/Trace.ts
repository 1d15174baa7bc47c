/**
 * What happened in a simulated world, in order: a running hash of every line, by which two runs are compared, and the last lines
 * themselves, or all of them when somebody wants to read.
 */
import { clockText } from "./FaultPlan.ts"
import { hashText } from "./SeededRandom.ts"

const KEPT_LINES = 400

export class Trace {
  private readonly kept: Array<readonly [at: number, line: string]> = []
  private first = 0x811c9dc5
  private second = 0x9e3779b9
  private readonly keep: "all" | "last"
  count = 0

  constructor(keep: "all" | "last") {
    this.keep = keep
  }

  note(at: number, line: string): void {
    this.count += 1
    this.first = hashText(line, this.first ^ at)
    this.second = hashText(line, Math.imul(this.second, 31) ^ this.count)
    this.kept.push([at, line])
    if (this.keep === "last" && this.kept.length > 2 * KEPT_LINES) this.kept.splice(0, KEPT_LINES)
  }

  get lines(): ReadonlyArray<string> {
    return this.kept.map(([at, line]) => `${clockText(at)} ${line}`)
  }

  hash(): string {
    return `${this.first.toString(16).padStart(8, "0")}${this.second.toString(16).padStart(8, "0")}`
  }
}
