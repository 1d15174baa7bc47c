/**
 * One description per table of the ledger: which fields a row has and how each is kept. Everything that turns rows into columns
 * and back is derived from it. Reads alias columns to field names, so that only booleans and JSON are touched afterwards.
 */
import type { Statement } from "better-sqlite3"
import { Result, Schema } from "effect"
import { Attempt } from "../../domain/Attempt.ts"
import { Delivery } from "../../domain/Delivery.ts"
import { Group } from "../../domain/Group.ts"
import { Incarnation } from "../../domain/Incarnation.ts"
import { LedgerEvent } from "../../domain/LedgerEvent.ts"
import { Message } from "../../domain/Message.ts"
import { Run } from "../../domain/Run.ts"
import { Series } from "../../domain/Series.ts"
import { Session } from "../../domain/Session.ts"
import { LedgerError } from "../../services/LedgerDriver.ts"

/** Gives the prepared statement of a text, the same one each time. */
export type Prepare = (sql: string) => Statement<Array<unknown>>

/** Those fields that SQLite can't keep as they are: `boolean` is 0 or 1, `json` is text. Null stays null. */
type Keeping<Row> = {
  readonly [Field in keyof Row as Row[Field] extends string | number | null ? never : Field]-?:
    | "boolean"
    | "json"
}

/** The row's Schema, which names its fields. */
interface RowSchema<Row> {
  readonly Type: Row
  readonly fields: Readonly<Record<string, Schema.Top>>
}

export interface Table<Row> {
  readonly name: string
  readonly key: ReadonlyArray<keyof Row & string>
  readonly fields: ReadonlyArray<keyof Row & string>
  /** `column AS "field", …` */
  readonly select: string
  /** Changes the object that the database gave, and returns it as a row. */
  readonly decode: (stored: unknown) => Row
  /** The row's values, all or those of some fields, in their order and ready to bind. */
  readonly encode: (row: Row, some?: ReadonlyArray<keyof Row & string>) => Array<unknown>
}

/** `onWake` is kept as `on_wake`; quoted, because some are SQL words. */
export const columnOf = (field: string): string =>
  `"${field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}"`

/** Texts whose values one column remembers. */
const MAX_REMEMBERED = 500

/**
 * Rows repeat few documents, and a value is never changed: each text is decoded once. Types are required, limits are not: they may
 * have been wider when the row was written, and whoever uses the value says so.
 */
const documentOf = (column: string, schema: Schema.Top | undefined): ((text: string) => unknown) => {
  const json = Schema.fromJsonString(Schema.toType(schema ?? Schema.Unknown))
  const decode = Schema.decodeUnknownResult(json, { disableChecks: true })
  const known = new Map<string, unknown>()
  return (text) => {
    if (known.has(text)) return known.get(text)
    const decoded = decode(text)
    if (Result.isFailure(decoded)) {
      const message = `the ledger has a row whose ${column} can't be read: ${decoded.failure.message}; restore a backup`
      throw new LedgerError({ reason: "Corrupt", message })
    }
    if (known.size >= MAX_REMEMBERED) known.clear()
    known.set(text, decoded.success)
    return decoded.success
  }
}

const table = <Row>(
  name: string,
  row: RowSchema<Row>,
  key: ReadonlyArray<keyof Row & string>,
  keeping: Keeping<Row>,
): Table<Row> => {
  const fields = Object.keys(row.fields) as Array<keyof Row & string>
  const kept = new Map(Object.entries<string>(keeping))
  const booleans = fields.filter((field) => kept.get(field) === "boolean")
  const documents = fields
    .filter((field) => kept.get(field) === "json")
    .map((field) => [field, documentOf(`${name}.${field}`, row.fields[field])] as const)
  return {
    name,
    key,
    fields,
    select: fields.map((field) => `${columnOf(field)} AS "${field}"`).join(", "),
    decode: (stored) => {
      const row = stored as Record<string, unknown>
      for (const field of booleans) if (row[field] !== null) row[field] = row[field] === 1
      for (const [field, read] of documents) row[field] = read(row[field] as string)
      return row as Row
    },
    encode: (row, some = fields) => {
      const values: Array<unknown> = []
      for (const field of some) {
        const value = row[field]
        const how = kept.get(field)
        if (how === undefined || value === null) values.push(value)
        else values.push(how === "json" ? JSON.stringify(value) : Number(value))
      }
      return values
    },
  }
}

export const groups = table("groups", Group, ["id"], {
  provider: "json",
  policy: "json",
  destinations: "json",
  admins: "json",
  runnerReoffers: "boolean",
  container: "json",
})

export const sessions = table("sessions", Session, ["id"], { live: "boolean" })

export const messages = table("messages", Message, ["id"], {
  trigger: "boolean",
  onWake: "boolean",
  suspect: "boolean",
})

export const attempts = table("attempts", Attempt, ["messageId", "number"], { costsTry: "boolean" })

export const incarnations = table("incarnations", Incarnation, ["sessionId", "number"], {
  claimed: "boolean",
  oomKilled: "boolean",
})

export const deliveries = table("deliveries", Delivery, ["id"], { answers: "json" })

export const series = table("series", Series, ["id"], { schedule: "json", bounds: "json", policy: "json" })

export const runs = table("runs", Run, ["position"], {})

export const events = table("events", LedgerEvent, ["position"], {})
