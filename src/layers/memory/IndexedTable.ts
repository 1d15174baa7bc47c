/**
 * Rows in memory with sorted indexes, as a database keeps them: each index puts the rows that it is about into buckets, in order.
 * A write tells the journal how to undo it, so that whoever owns the journal can take back everything since a point.
 */

/** Undo steps, in the order in which the writes happened. */
export type Journal = Array<() => void>

/** What an index sorts by; null comes first, ties are in order of insertion. */
export type SortKey = string | number | null

export interface IndexSpec<Row> {
  /** The bucket that a row belongs to; undefined keeps it out of this index. */
  readonly bucket: (row: Row) => string | undefined
  readonly order: ReadonlyArray<(row: Row) => SortKey>
}

export interface Index<Row> {
  /** All rows of a bucket, in order. */
  readonly rows: (bucket: string) => ReadonlyArray<Row>
  /** The leading rows of which `belongs` is true, at most `limit`; `belongs` must be true up to a point and false after it. */
  readonly leading: (bucket: string, belongs: (row: Row) => boolean, limit: number) => ReadonlyArray<Row>
  /** The rows behind those of which `passed` is true, at most `limit`. */
  readonly following: (bucket: string, passed: (row: Row) => boolean, limit: number) => ReadonlyArray<Row>
}

export interface IndexedTable<Row> {
  readonly get: (key: string) => Row | undefined
  /** Order of insertion; a row that is replaced keeps its place. */
  readonly placeOf: (key: string) => number | undefined
  readonly put: (row: Row) => void
  readonly remove: (key: string) => void
  readonly size: () => number
  /** Call before the first row is put. */
  readonly index: (spec: IndexSpec<Row>) => Index<Row>
  /** Like an index whose buckets hold one row at most: a put that would make it two throws, and changes nothing. */
  readonly unique: (name: string, bucket: IndexSpec<Row>["bucket"]) => (bucket: string) => Row | undefined
}

interface Placed<Row> {
  readonly row: Row
  readonly place: number
}

export const makeTable = <Row>(journal: Journal, keyOf: (row: Row) => string): IndexedTable<Row> => {
  const byKey = new Map<string, Placed<Row>>()
  const indexes: Array<ReturnType<typeof makeIndex<Row>>> = []
  const uniques: Array<{
    readonly name: string
    readonly bucket: IndexSpec<Row>["bucket"]
    readonly keys: Map<string, string>
  }> = []
  let lastPlace = 0

  const set = (key: string, next: Placed<Row> | undefined): void => {
    const before = byKey.get(key)
    if (before !== undefined) {
      for (const index of indexes) index.remove(before)
      for (const { bucket, keys } of uniques) keys.delete(bucket(before.row) ?? "")
    }
    if (next === undefined) {
      byKey.delete(key)
      return
    }
    byKey.set(key, next)
    for (const index of indexes) index.insert(next)
    for (const { bucket, keys } of uniques) {
      const name = bucket(next.row)
      if (name !== undefined) keys.set(name, key)
    }
  }

  return {
    get: (key) => byKey.get(key)?.row,
    placeOf: (key) => byKey.get(key)?.place,
    put: (row) => {
      const key = keyOf(row)
      for (const { name, bucket, keys } of uniques) {
        const holder = keys.get(bucket(row) ?? "")
        if (holder !== undefined && holder !== key) {
          throw new Error(`${name}: '${key}' would be the same as '${holder}'`)
        }
      }
      const before = byKey.get(key)
      journal.push(() => set(key, before))
      set(key, { row, place: before?.place ?? ++lastPlace })
    },
    remove: (key) => {
      const before = byKey.get(key)
      if (before === undefined) return
      journal.push(() => set(key, before))
      set(key, undefined)
    },
    size: () => byKey.size,
    index: (spec) => {
      const index = makeIndex(spec)
      indexes.push(index)
      return index
    },
    unique: (name, bucket) => {
      const keys = new Map<string, string>()
      uniques.push({ name, bucket, keys })
      return (wanted) => {
        const key = keys.get(wanted)
        return key === undefined ? undefined : byKey.get(key)?.row
      }
    },
  }
}

const makeIndex = <Row>(spec: IndexSpec<Row>) => {
  const buckets = new Map<string, Array<Placed<Row>>>()

  const compare = (left: Placed<Row>, right: Placed<Row>): number => {
    for (const key of spec.order) {
      const order = compareKeys(key(left.row), key(right.row))
      if (order !== 0) return order
    }
    return left.place - right.place
  }

  const slice = (name: string, pick: (rows: ReadonlyArray<Placed<Row>>) => ReadonlyArray<Placed<Row>>) =>
    pick(buckets.get(name) ?? []).map(({ row }) => row)

  const index: Index<Row> & {
    readonly insert: (placed: Placed<Row>) => void
    readonly remove: (placed: Placed<Row>) => void
  } = {
    rows: (name) => slice(name, (rows) => rows),
    leading: (name, belongs, limit) =>
      slice(name, (rows) =>
        rows.slice(
          0,
          Math.min(
            limit,
            pointOf(rows, ({ row }) => belongs(row)),
          ),
        ),
      ),
    following: (name, passed, limit) =>
      slice(name, (rows) => {
        const start = pointOf(rows, ({ row }) => passed(row))
        return rows.slice(start, start + limit)
      }),
    insert: (placed) => {
      const name = spec.bucket(placed.row)
      if (name === undefined) return
      const rows = buckets.get(name)
      if (rows === undefined) buckets.set(name, [placed])
      else
        rows.splice(
          pointOf(rows, (other) => compare(other, placed) < 0),
          0,
          placed,
        )
    },
    remove: (placed) => {
      const name = spec.bucket(placed.row)
      const rows = name === undefined ? undefined : buckets.get(name)
      if (name === undefined || rows === undefined) return
      rows.splice(
        pointOf(rows, (other) => compare(other, placed) < 0),
        1,
      )
      if (rows.length === 0) buckets.delete(name)
    },
  }
  return index
}

const compareKeys = (left: SortKey, right: SortKey): number => {
  if (left === right) return 0
  if (left === null) return -1
  if (right === null) return 1
  return left < right ? -1 : 1
}

/** How many leading elements `belongs` is true of, found by halving. */
const pointOf = <Element>(sorted: ReadonlyArray<Element>, belongs: (element: Element) => boolean): number => {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const element = sorted[middle]
    if (element !== undefined && belongs(element)) low = middle + 1
    else high = middle
  }
  return low
}
