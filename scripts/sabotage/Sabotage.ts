/** One rule that is broken on purpose, and who ought to notice. */
export interface Sabotage {
  readonly name: string
  /** The rule as a reader of docs/ knows it. */
  readonly rule: string
  readonly file: string
  /** Stands there exactly once. */
  readonly from: string
  readonly to: string
  /** Who ought to notice: these tests, or the simulation alone, which knows nothing of the rule in particular. */
  readonly tests: ReadonlyArray<string> | "simulation"
}
