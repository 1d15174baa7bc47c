/**
 * Why outbound.db was not read. It is a plain error because the reader process throws it, and that process starts quickly only if it loads
 * nothing but SQLite and Node. The daemon turns it into the mailbox's own errors.
 */

/**
 * `quarantined`: it is not what the host made. `unreadable`: not now, perhaps later. `locked`: its writer holds a lock, worth another
 * try within milliseconds.
 */
export type RefusalKind = "quarantined" | "unreadable" | "locked"

export class OutboundRefusal extends Error {
  readonly kind: RefusalKind

  constructor(kind: RefusalKind, reason: string) {
    super(reason)
    this.kind = kind
  }
}

export const quarantine = (reason: string): never => {
  throw new OutboundRefusal("quarantined", reason)
}
