/** New ids: sortable by time, random enough that two never meet. Seeded tests get the same ones again. */
import { Clock, Effect, Random } from "effect"

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

/** `<prefix>-<time><random>`, in the letters of Crockford's base 32. */
export const newId = Effect.fnUntraced(function* (prefix: string) {
  let id = (yield* Clock.currentTimeMillis).toString(32).padStart(9, "0")
  for (let n = 0; n < 12; n++) id += ALPHABET[yield* Random.nextIntBetween(0, ALPHABET.length - 1)] ?? "0"
  return `${prefix}-${id}`
})
