/**
 * Checks what a reader process says before the daemon believes it. The process has met a hostile file, so the shape of its answers is
 * not taken for granted either; what stands in the cells is decoded row by row afterwards.
 */
import { type Option, Schema } from "effect"
import type { ReaderAnswer } from "./ReaderFrames.ts"

const Answer = Schema.fromJsonString(
  Schema.Union([
    Schema.TaggedStruct("Ready", {}),
    Schema.TaggedStruct("Cells", {
      table: Schema.Literals(["messages_out", "processing_ack", "session_state", "container_state"]),
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

/** None: no answer of ours. */
export const parseAnswer: (text: string) => Option.Option<ReaderAnswer> = Schema.decodeUnknownOption(Answer)
