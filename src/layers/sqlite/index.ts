/** The SQLite layers as consumers import them: the ledger, and the lock on a data directory with its probe. */
export * as DataDirectoryLock from "./DataDirectoryLock.ts"
export * as DataDirectoryProbe from "./DataDirectoryProbe.ts"
export * as LockCheck from "./LockCheck.ts"
export * as SqliteLedger from "./SqliteLedger.ts"
