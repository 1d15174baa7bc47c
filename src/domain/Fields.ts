/** Fields that several structs have: whole numbers within a range, lengths of time as text, and any field left out. */
import { Result, Schema, SchemaGetter, Struct } from "effect"
import { parseDuration } from "./DurationText.ts"
import { Millis } from "./Instant.ts"

export const count = (minimum: number, maximum: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A field with its default and what the manual says of it. */
export const preset = <S extends Schema.Top>(schema: S, value: S["Type"], description: string) =>
  schema.annotate({ default: value, description })

export const millis = (value: number, description: string) => preset(Millis, value, description)

/** The defaults of a struct, each of whose fields was made by `preset`. */
export const defaultsOf = <Fields extends Schema.Struct.Fields>(struct: Schema.Struct<Fields>) =>
  Object.fromEntries(
    Object.entries(struct.fields).map(([name, field]) => [
      name,
      Schema.resolveAnnotations(field)?.["default"],
    ]),
  ) as Schema.Struct.Type<Fields>

/** Any of a struct's fields. */
export const partly = <const Fields extends Schema.Struct.Fields>(struct: Schema.Struct<Fields>) =>
  struct.mapFields(Struct.map(Schema.optionalKey))

const DurationText = Schema.String.check(
  Schema.makeFilter((text) => Result.isSuccess(parseDuration(text)), {
    expected: 'a length of time such as "90s" or "30 minutes"',
  }),
)

type Fields = Readonly<Record<string, Schema.Codec<unknown, unknown>>>

/** The fields as people may write them: where the name says milliseconds, a text such as "5 seconds" does, too. */
export const withDurations = <const F extends Fields>(fields: F) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, name.endsWith("Ms") ? orText(field) : field]),
  ) as { readonly [Name in keyof F]: Schema.Codec<F[Name]["Type"], F[Name]["Encoded"] | string> }

const orText = <A>(field: Schema.Codec<A, unknown>) =>
  Schema.Union([
    field,
    DurationText.pipe(
      Schema.decodeTo(field, {
        decode: SchemaGetter.transform((text) => Result.getOrElse(parseDuration(text), () => Number.NaN)),
        encode: SchemaGetter.transform(String),
      }),
    ),
  ])
