/**
 * Randomness that a seed decides: the same seed gives the same numbers on every machine, and streams forked under different names
 * don't disturb each other, so that leaving one fault out of a plan changes nothing else.
 */

export interface SeededRandom {
  /** In [0, 1). */
  readonly next: () => number
  /** A whole number in [0, below). */
  readonly below: (below: number) => number
  /** A whole number in [low, high], both included. */
  readonly between: (low: number, high: number) => number
  /** Like `between`, with as many small values as large ones: for durations that span seconds to hours. */
  readonly magnitude: (low: number, high: number) => number
  readonly chance: (share: number) => boolean
  readonly pick: <A>(from: readonly [A, ...Array<A>] | ReadonlyArray<A>) => A
  /** An independent stream of the same seed. */
  readonly fork: (name: string) => SeededRandom
}

/** FNV-1a, 32 bits. */
export const hashText = (text: string, start = 0x811c9dc5): number => {
  let hash = start
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}

export const seededRandom = (seed: string): SeededRandom => {
  // sfc32, by Chris Doty-Humphrey: small, fast and good enough for choosing faults.
  let a = hashText(seed)
  let b = hashText(seed, a ^ 0x9e3779b9)
  let c = hashText(seed, b ^ 0x85ebca6b)
  let counter = 1
  const bits = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return sum >>> 0
  }
  for (let round = 0; round < 12; round++) bits()
  const next = (): number => bits() / 0x1_0000_0000
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    next,
    below,
    between: (low, high) => low + below(high - low + 1),
    magnitude: (low, high) => Math.round(low * Math.exp(next() * Math.log(high / low))),
    chance: (share) => next() < share,
    pick: (from) => {
      const picked = from[below(from.length)]
      if (picked === undefined) throw new Error("there is nothing to pick from")
      return picked
    },
    fork: (name) => seededRandom(`${seed}/${name}`),
  }
}
