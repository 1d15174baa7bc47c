/** The exchange pair on real files, as consumers import it. */
export * as SqliteMailbox from "./SqliteMailbox.ts"
