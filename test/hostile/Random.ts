/** Randomness that a seed repeats; every mutation has its own, so that one of twenty thousand can be looked at alone. */

export interface Random {
  /** A whole number from 0 to `below` - 1. */
  readonly below: (below: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  readonly bytes: (count: number) => Buffer
  /** True once in `times`. */
  readonly once: (times: number) => boolean
}

export const randomOf = (seed: number, index: number): Random => {
  let state = (Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) + Math.imul(index + 1, 0xc2b2_ae35)) >>> 0
  const next = (): number => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  return {
    below,
    pick: <A>(from: ReadonlyArray<A>): A => from[below(from.length)] as A,
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => below(256))),
    once: (times) => below(times) === 0,
  }
}

/** What a run is told by its environment. */
export const fuzzSettings = (defaultCount: number): { readonly seed: number; readonly count: number } => {
  const whole = (name: string, otherwise: number): number => {
    const text = process.env[name]
    if (text === undefined || text === "") return otherwise
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name}='${text}' is not a whole number`)
    return value
  }
  return {
    seed: whole("LAMPLIGHTER_FUZZ_SEED", Math.floor(Math.random() * 2 ** 31)),
    count: whole("LAMPLIGHTER_FUZZ_COUNT", defaultCount),
  }
}
