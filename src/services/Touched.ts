/**
 * Which sessions the ledger's commits concerned since somebody last asked: the sweep looks at those again, and at no other unless its
 * files changed or its own next instant has come. A feed may lose nothing that it was told, but nobody relies on it alone.
 */
import type { GroupId, SessionId } from "../domain/Ids.ts"
import type { LedgerTx } from "./LedgerDriver.ts"

/** More names than this are as good as all. */
const MAX_NAMED = 10_000

export interface Concerned {
  /** Everything may have changed. */
  readonly all: boolean
  readonly sessions: ReadonlySet<SessionId>
  /** A change of a group concerns every session that it governs. */
  readonly groups: ReadonlySet<GroupId>
}

export interface Touched {
  readonly session: (id: SessionId) => void
  readonly group: (id: GroupId) => void
  /** What was named since the last call. */
  readonly drain: () => Concerned
}

const NOTHING: Concerned = { all: false, sessions: new Set(), groups: new Set() }

export const makeTouched = (): Touched => {
  let sessions = new Set<SessionId>()
  let groups = new Set<GroupId>()
  let overflown = false
  const name = <Id>(ids: Set<Id>, id: Id): void => {
    if (ids.size >= MAX_NAMED) overflown = true
    else ids.add(id)
  }
  return {
    session: (id) => name(sessions, id),
    group: (id) => name(groups, id),
    drain: () => {
      if (!overflown && sessions.size === 0 && groups.size === 0) return NOTHING
      const concerned = { all: overflown, sessions, groups }
      sessions = new Set()
      groups = new Set()
      overflown = false
      return concerned
    },
  }
}

/**
 * Gives the same transaction, which also names what it writes about. One that is rolled back has named too much, which costs one
 * look. A driver gives the same `tx` to each body, so that it is wrapped once.
 */
export const naming = (touched: Touched): ((tx: LedgerTx) => LedgerTx) => {
  const wrapped = new WeakMap<LedgerTx, LedgerTx>()
  return (tx) => {
    const known = wrapped.get(tx)
    if (known !== undefined) return known
    const named: LedgerTx = {
      ...tx,
      putGroup: (row) => {
        touched.group(row.id)
        tx.putGroup(row)
      },
      putSession: (row, before) => {
        touched.session(row.id)
        tx.putSession(row, before)
      },
      putIncarnation: (row) => {
        touched.session(row.sessionId)
        tx.putIncarnation(row)
      },
      putSeries: (row) => {
        touched.session(row.sessionId)
        tx.putSeries(row)
      },
    }
    wrapped.set(tx, named)
    return named
  }
}
