/**
 * Validates the answers of a reader process. The process has opened a hostile file, so the daemon does not trust the shape of its
 * answers. The cells are decoded afterwards, row by row.
 */
import { type Option, Schema } from "effect"
import { OUTBOUND_TABLES } from "../exchange/ExchangeSchema.ts"
import type { ReaderAnswer } from "./ReaderFrames.ts"

const Answer = Schema.fromJsonString(
  Schema.Union([
    Schema.TaggedStruct("Ready", {}),
    Schema.TaggedStruct("Cells", {
      table: Schema.Literals(OUTBOUND_TABLES),
      rows: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)),
    }),
    Schema.TaggedStruct("Done", {
      outgrown: Schema.Boolean,
      stateRows: Schema.Int,
      more: Schema.NullOr(Schema.String.check(Schema.isPattern(/^-?\d{1,19}$/))),
    }),
    Schema.TaggedStruct("Refusal", {
      kind: Schema.Literals(["quarantined", "unreadable", "locked"]),
      reason: Schema.String,
    }),
  ]),
)

/** None: not a valid answer. */
export const parseAnswer: (text: string) => Option.Option<ReaderAnswer> = Schema.decodeUnknownOption(Answer)
