/** The known names that a mistyped one may have meant. */

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

/**
 * The known names nearest to a mistyped one, the nearest first. Case is ignored. A name is near when at most a third of it would have
 * to change. `keyOf` gives the part of a known name that is compared.
 */
export const nearestNames = (
  name: string,
  known: Iterable<string>,
  count: number,
  keyOf: (known: string) => string = (whole) => whole,
): ReadonlyArray<string> => {
  const wanted = name.slice(0, MAX_LENGTH).toLowerCase()
  const limit = Math.max(2, Math.floor(wanted.length / 3))
  return [...known]
    .map((each) => ({ each, distance: editDistance(wanted, keyOf(each).toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ each }) => each)
}

/** The nearest one; `undefined` when none is near. */
export const nearestName = (name: string, known: Iterable<string>): string | undefined =>
  nearestNames(name, known, 1)[0]
