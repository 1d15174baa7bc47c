/** New ids: sortable by time, random enough that two never meet. Seeded tests get the same ones again. */
import { Clock, Effect, Random } from "effect"

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

/** `<prefix>-<time><random>`, in the letters of Crockford's base 32. */
export const newId = (prefix: string): Effect.Effect<string> =>
  Effect.map(Effect.zip(Clock.currentTimeMillis, Random.Random), ([now, random]) => {
    let id = `${prefix}-${now.toString(32).padStart(9, "0")}`
    for (let n = 0; n < 12; n++) id += ALPHABET[Math.floor(random.nextDoubleUnsafe() * ALPHABET.length)] ?? ""
    return id
  })
