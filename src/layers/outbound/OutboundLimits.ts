/**
 * What one container may write in one life. Beyond a row limit the reading says `outgrown`, and the host ends the incarnation;
 * beyond a byte limit the row (or the file) is not read at all. Every figure is stated in docs/exchange.md.
 */
export const OutboundLimits = {
  /** outbound.db, and its journal. */
  fileBytes: 64 * 1024 * 1024,
  /** From here on the reading says `outgrown`, so that the file is retired before it can't be read. */
  outgrownBytes: 48 * 1024 * 1024,
  acks: 10_000,
  outbound: 10_000,
  stateRows: 200,
  stateBytes: 256 * 1024,
  contentBytes: 1024 * 1024,
  idBytes: 128,
  /** Kinds, statuses, outcomes, times. */
  wordBytes: 64,
  /** Addresses, recurrences, keys of session_state, names of tools. */
  addressBytes: 1024,
  detailBytes: 256 * 1024,
  errorChars: 4_000,
  resultChars: 64_000,
  /** Tables and indices, automatic ones included. */
  schemaEntries: 64,
  /** Reports of refused rows in one reading; the last one says that there were more. */
  rejected: 100,
} as const
