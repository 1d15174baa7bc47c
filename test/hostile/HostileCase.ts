/** One way for a container to attack the host through its files, and what must become of it. */
import type { Reading } from "../../src/services/Mailbox.ts"
import type { Place } from "./OutboundFile.ts"

/** `read`: taken, with whatever is bad in it refused row by row. `set aside`: quarantined. `not now`: later, perhaps. */
export type Verdict = "read" | "set aside" | "not now"

/** More than one where it depends on what SQLite makes of it, or on who is faster. */
export type Verdicts = Verdict | ReadonlyArray<Verdict>

export interface HostileCase {
  readonly name: string
  /** While the container lives, and when it is dead. */
  readonly live: Verdicts
  readonly dead: Verdicts
  /** Made before anybody looks; `outbound.db` is an honest one, and may be replaced. */
  readonly plant: (place: Place) => void
  /** Goes on while the host looks; returns what ends it. */
  readonly besiege?: (place: Place) => Promise<() => void>
  /** What more must hold of a reading. */
  readonly check?: (reading: Reading) => void
}

export const hostile = (
  name: string,
  verdict: Verdicts,
  plant: HostileCase["plant"],
  more: Partial<HostileCase> = {},
): HostileCase => ({ name, live: verdict, dead: verdict, plant, ...more })
