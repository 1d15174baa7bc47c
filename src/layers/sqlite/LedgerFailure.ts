/** What an error of SQLite means to who uses the ledger: storage that failed, with the remedy, or a bug of this program. */
import { LedgerError } from "../../services/LedgerDriver.ts"

const MEANINGS: ReadonlyArray<readonly [code: RegExp, reason: LedgerError["reason"], remedy: string]> = [
  [/^SQLITE_FULL/, "Full", "nothing was written; free some space"],
  [
    /^SQLITE_READONLY/,
    "ReadOnly",
    "nothing was written; check the owner and mode of the file and its folder",
  ],
  [/^SQLITE_(BUSY|LOCKED)/, "Busy", "another process holds it for long; end that one, or try again"],
  [/^SQLITE_(CORRUPT|NOTADB)/, "Corrupt", "stop the daemon and restore a backup"],
  [
    /^SQLITE_(IOERR|CANTOPEN|NOMEM|NOLFS|PERM|PROTOCOL)/,
    "Io",
    "check the disk, and the mode of the file and its folder",
  ],
]

/** The LedgerError of a storage failure; undefined for anything else, which is a bug and must stay a defect. */
export const storageFailure = (what: string, cause: unknown): LedgerError | undefined => {
  if (cause instanceof LedgerError) return cause
  const code = codeOf(cause)
  if (code === undefined) return undefined
  for (const [pattern, reason, remedy] of MEANINGS) {
    if (pattern.test(code)) {
      return new LedgerError({ reason, message: `${what}: ${(cause as Error).message} (${code}); ${remedy}` })
    }
  }
  return undefined
}

/** For steps in which every error is one of storage: opening, and what node:fs does. */
export const anyFailure = (what: string, cause: unknown): LedgerError =>
  storageFailure(what, cause) ??
  new LedgerError({
    reason: "Io",
    message: `${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
  })

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined
