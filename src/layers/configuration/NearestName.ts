/** The known name that a mistyped one probably meant. */

/** Edits (insert, delete, replace) that turn one text into the other. */
const editDistance = (from: string, to: string): number => {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1)
      const deleted = (previous[column] ?? 0) + 1
      const inserted = (current[column - 1] ?? 0) + 1
      current.push(Math.min(replaced, deleted, inserted))
    }
    previous = current
  }
  return previous[to.length] ?? 0
}

const MAX_LENGTH = 200

/** Case is ignored. `undefined` when nothing is near: more than a third of the name would have to change. */
export const nearestName = (name: string, known: Iterable<string>): string | undefined => {
  const wanted = name.slice(0, MAX_LENGTH).toLowerCase()
  let nearest: string | undefined
  let distance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const found = editDistance(wanted, candidate.toLowerCase())
    if (found < distance) {
      distance = found
      nearest = candidate
    }
  }
  return nearest
}
