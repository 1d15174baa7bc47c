/** What a watch says when something happened that must not. */
export interface Violation {
  /** Of security.md §6; 0: the daemon or the simulation itself broke. */
  readonly invariant: number
  readonly message: string
  /** Elapsed milliseconds. */
  readonly at: number
}

export type Violate = (invariant: number, message: string) => void
