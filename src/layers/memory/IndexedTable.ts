/**
 * Rows in memory with sorted indexes, as a database keeps them: each index puts the rows that it is about into buckets, in order.
 * A write tells the journal how to undo it, so that whoever owns the journal can take back everything since a point.
 */

/** Undo steps, in the order in which the writes happened. */
export type Journal = Array<() => void>

/** What an index can sort by; null comes first, ties are in order of insertion. */
type SortKey = string | number | null

type SortField<Row> = { [Field in keyof Row]: Row[Field] extends SortKey ? Field : never }[keyof Row] & string

/** A field; after a minus, the greatest first. */
type Order<Row> = SortField<Row> | `-${SortField<Row>}`

/** The bucket that a row belongs to; undefined keeps it out of the index. */
type BucketOf<Row> = (row: Row) => string | undefined

/** The only bucket of an index that has one. */
export const ALL = ""

export interface Index<Row> {
  /** All rows of a bucket, in order. */
  readonly rows: (bucket: string) => ReadonlyArray<Row>
  /** The leading rows of which `belongs` is true, at most `limit`; `belongs` must be true up to a point and false after it. */
  readonly leading: (bucket: string, belongs: (row: Row) => boolean, limit: number) => ReadonlyArray<Row>
  /** The rows behind those of which `passed` is true, at most `limit`. */
  readonly following: (bucket: string, passed: (row: Row) => boolean, limit: number) => ReadonlyArray<Row>
}

interface Unique<Row> {
  readonly name: string
  readonly bucket: BucketOf<Row>
  readonly keys: Map<string, string>
}

interface Placed<Row> {
  readonly row: Row
  readonly place: number
}

export const makeTable = <Row>(journal: Journal, keyOf: (row: Row) => string) => {
  const byKey = new Map<string, Placed<Row>>()
  const indexes: Array<ReturnType<typeof makeIndex<Row>>> = []
  const uniques: Array<Unique<Row>> = []
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

  const remove = (key: string): void => {
    const before = byKey.get(key)
    if (before === undefined) return
    journal.push(() => set(key, before))
    set(key, undefined)
  }

  return {
    get: (key: string): Row | undefined => byKey.get(key)?.row,
    /** Order of insertion; a row that is replaced keeps its place. */
    placeOf: (key: string): number | undefined => byKey.get(key)?.place,
    put: (row: Row): void => {
      const key = keyOf(row)
      for (const unique of uniques) refuseSame(unique, row, key)
      const before = byKey.get(key)
      journal.push(() => set(key, before))
      set(key, { row, place: before?.place ?? ++lastPlace })
    },
    remove,
    /** Returns how many they are. */
    removeAll: (rows: ReadonlyArray<Row>): number => {
      for (const row of rows) remove(keyOf(row))
      return rows.length
    },
    /** Call before the first row is put. Without `bucket`, all rows are in the one called `ALL`. */
    index: (order: ReadonlyArray<Order<Row>>, bucket: BucketOf<Row> = () => ALL): Index<Row> => {
      const index = makeIndex(order, bucket)
      indexes.push(index)
      return index
    },
    /** Like an index whose buckets hold one row at most: a put that would make it two throws, and changes nothing. */
    unique: (name: string, bucket: BucketOf<Row>) => {
      const keys = new Map<string, string>()
      uniques.push({ name, bucket, keys })
      return (wanted: string): Row | undefined => {
        const key = keys.get(wanted)
        return key === undefined ? undefined : byKey.get(key)?.row
      }
    },
  }
}

const refuseSame = <Row>({ bucket, keys, name }: Unique<Row>, row: Row, key: string): void => {
  const holder = keys.get(bucket(row) ?? "")
  if (holder !== undefined && holder !== key)
    throw new Error(`${name}: '${key}' would be the same as '${holder}'`)
}

const makeIndex = <Row>(order: ReadonlyArray<Order<Row>>, bucket: BucketOf<Row>) => {
  const keys = order.map((key) =>
    key.startsWith("-")
      ? { field: key.slice(1) as SortField<Row>, sign: -1 }
      : { field: key as SortField<Row>, sign: 1 },
  )
  const buckets = new Map<string, Array<Placed<Row>>>()

  const compare = (left: Placed<Row>, right: Placed<Row>): number => {
    for (const { field, sign } of keys) {
      const order = sign * compareKeys(left.row[field] as SortKey, right.row[field] as SortKey)
      if (order !== 0) return order
    }
    return left.place - right.place
  }

  const placeIn = (rows: ReadonlyArray<Placed<Row>>, placed: Placed<Row>): number =>
    pointOf(rows, (other) => compare(other, placed) < 0)

  const slice = (name: string, pick: (rows: ReadonlyArray<Placed<Row>>) => ReadonlyArray<Placed<Row>>) =>
    pick(buckets.get(name) ?? []).map(({ row }) => row)

  const index: Index<Row> & {
    readonly insert: (placed: Placed<Row>) => void
    readonly remove: (placed: Placed<Row>) => void
  } = {
    rows: (name) => slice(name, (rows) => rows),
    leading: (name, belongs, limit) =>
      slice(name, (rows) => {
        const end = pointOf(rows, ({ row }) => belongs(row))
        return rows.slice(0, Math.min(limit, end))
      }),
    following: (name, passed, limit) =>
      slice(name, (rows) => {
        const start = pointOf(rows, ({ row }) => passed(row))
        return rows.slice(start, start + limit)
      }),
    insert: (placed) => {
      const name = bucket(placed.row)
      if (name === undefined) return
      const rows = buckets.get(name)
      if (rows === undefined) buckets.set(name, [placed])
      else rows.splice(placeIn(rows, placed), 0, placed)
    },
    remove: (placed) => {
      const name = bucket(placed.row)
      const rows = name === undefined ? undefined : buckets.get(name)
      if (name === undefined || rows === undefined) return
      rows.splice(placeIn(rows, placed), 1)
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
