/**
 * A setting: one value of the configuration with all that is known about it: where it stands in the file, its environment
 * variable, how its text is read, what is accepted, its default and its meaning. Errors and the manual are written from it.
 */
import { Config, Effect, Redacted, Schema, SchemaGetter, SchemaIssue } from "effect"
import { formatBytes, formatDuration, parseBytes, parseDuration } from "./QuantityText.ts"

export interface Setting<A> {
  /** In the file: `["policy", "idleMs"]`. */
  readonly path: ReadonlyArray<string>
  readonly config: Config.Config<A>
  /** What holds when nothing is said; null: it has to be said. */
  readonly fallback: (() => A) | null
  readonly fallbackText: string
  readonly unit: "ms" | "bytes" | ""
  /** Completes "expected …". */
  readonly expected: string
  readonly meaning: string
  /** What JSON may hold there: a text, a number or a text (`quantity`), or an array of texts. */
  readonly shape: "text" | "quantity" | "list"
  /** Whether JSON may hold null there; the environment says `none`. */
  readonly nullable: boolean
  /** The value as an error may show it; null hides it. */
  readonly show: (value: string) => string | null
}

export const keyOf = (setting: { readonly path: ReadonlyArray<string> }): string => setting.path.join(".")

/** `policy.idleMs` is `LAMPLIGHTER_POLICY_IDLE_MS`: words in capitals, joined by `_`, after the prefix. */
export const environmentName = (path: ReadonlyArray<string | number>): string =>
  ["lamplighter", ...path.map(String)]
    .map((segment) => segment.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replaceAll("-", "_"))
    .join("_")
    .toUpperCase()

const SHOWN_CHARACTERS = 100

const showText = (value: string): string =>
  JSON.stringify(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value)

const parsed =
  <T>(parse: (text: string) => T | undefined) =>
  (text: string): Effect.Effect<T, SchemaIssue.Issue> => {
    const value = parse(text)
    return value === undefined ? Effect.fail(new SchemaIssue.InvalidValue()) : Effect.succeed(value)
  }

/** Reads text with `parse` and checks the result with `schema`. */
const textCodec = <T>(schema: Schema.Codec<T, T>, parse: (text: string) => T | undefined) =>
  Schema.String.pipe(
    Schema.decodeTo(schema, {
      decode: SchemaGetter.transformEffect(parsed(parse)),
      encode: SchemaGetter.transform(String),
    }),
  )

type NumberSchema = Schema.Codec<number, number>

const rangeOf = (schema: NumberSchema): { readonly minimum: number; readonly maximum: number } => {
  const { minimum, maximum } = Schema.toJsonSchemaDocument(schema).schema
  if (typeof minimum !== "number" || typeof maximum !== "number") {
    throw new Error("a setting's number needs a range")
  }
  return { minimum, maximum }
}

/** What all settings say about themselves. */
interface About<A> {
  readonly path: ReadonlyArray<string>
  readonly fallback: A | null
  readonly meaning: string
}

const fallbackOf = <A>(value: A | null): (() => A) | null => (value === null ? null : () => value)

const quantity = <A extends number | null>(
  about: About<A>,
  schema: NumberSchema,
  of: {
    readonly unit: Setting<A>["unit"]
    readonly parse: (text: string) => number | undefined
    readonly format: (value: number) => string
    readonly expected: (minimum: string, maximum: string) => string
  },
) => {
  const { minimum, maximum } = rangeOf(schema)
  return {
    path: about.path,
    meaning: about.meaning,
    unit: of.unit,
    expected: of.expected(of.format(minimum), of.format(maximum)),
    shape: "quantity",
    show: showText,
    fallbackText: about.fallback === null ? "" : of.format(about.fallback),
  } as const
}

const durationQuantity = {
  unit: "ms",
  parse: parseDuration,
  format: formatDuration,
  expected: (minimum: string, maximum: string) =>
    `a length of time from ${minimum} to ${maximum}: whole milliseconds, or a text like "90s" or "30 minutes"`,
} as const

const bytesQuantity = {
  unit: "bytes",
  parse: parseBytes,
  format: formatBytes,
  expected: (minimum: string, maximum: string) =>
    `a size from ${minimum} to ${maximum}: whole bytes, or a text like "64 KiB"`,
} as const

const parseInteger = (text: string): number | undefined =>
  /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined

const parseDecimal = (text: string): number | undefined =>
  /^\d{1,15}(?:\.\d{1,15})?$/.test(text.trim()) ? Number(text) : undefined

const numeric =
  (of: Parameters<typeof quantity<number>>[2]) =>
  (about: About<number>, schema: NumberSchema): Setting<number> => ({
    ...quantity(about, schema, of),
    config: Config.schema(textCodec(schema, of.parse), [...about.path]),
    fallback: fallbackOf(about.fallback),
    nullable: false,
  })

/** A length of time within the schema's range. */
export const duration = numeric(durationQuantity)

/** A size in bytes within the schema's range. */
export const bytes = numeric(bytesQuantity)

export const integer = numeric({
  unit: "",
  parse: parseInteger,
  format: String,
  expected: (minimum, maximum) => `a whole number from ${minimum} to ${maximum}`,
})

export const decimal = numeric({
  unit: "",
  parse: parseDecimal,
  format: String,
  expected: (minimum, maximum) => `a number from ${minimum} to ${maximum}`,
})

/** A length of time, or `none` (null in the file), which is also the default. */
export const optionalDuration = (
  about: Omit<About<number>, "fallback">,
  schema: NumberSchema,
): Setting<number | null> => {
  const base = quantity({ ...about, fallback: null }, schema, durationQuantity)
  const none = Schema.Literal("none").pipe(
    Schema.decodeTo(Schema.Null, {
      decode: SchemaGetter.transform(() => null),
      encode: SchemaGetter.transform(() => "none" as const),
    }),
  )
  return {
    ...base,
    config: Config.schema(Schema.Union([none, textCodec(schema, parseDuration)]), [...about.path]),
    fallback: () => null,
    fallbackText: "none",
    expected: `${base.expected}; or "none"`,
    nullable: true,
  }
}

/** One of some words. */
export const oneOf = <const L extends ReadonlyArray<string>>(
  about: About<L[number]>,
  words: L,
): Setting<L[number]> => ({
  path: about.path,
  meaning: about.meaning,
  config: Config.schema(Schema.Literals(words), [...about.path]),
  fallback: fallbackOf(about.fallback),
  fallbackText: about.fallback ?? "",
  unit: "",
  expected: words.map((word) => `"${word}"`).join(" or "),
  shape: "text",
  nullable: false,
  show: showText,
})

/** A text that `accepts` accepts; `expected` says which those are. */
export const text = (
  about: About<string> & {
    readonly accepts: (text: string) => boolean
    readonly expected: string
    readonly show?: (value: string) => string | null
    readonly fallbackNow?: () => string
    readonly fallbackText?: string
  },
): Setting<string> => ({
  path: about.path,
  meaning: about.meaning,
  config: Config.schema(
    textCodec(Schema.String, (value) => (about.accepts(value) ? value : undefined)),
    [...about.path],
  ),
  fallback: about.fallbackNow ?? fallbackOf(about.fallback),
  fallbackText: about.fallbackText ?? about.fallback ?? "",
  unit: "",
  expected: about.expected,
  shape: "text",
  nullable: false,
  show: about.show ?? showText,
})

/** A text that nobody sees again; it has to be given. */
export const secret = (about: {
  readonly path: ReadonlyArray<string>
  readonly meaning: string
  readonly accepts: (secret: Redacted.Redacted) => boolean
  readonly expected: string
}): Setting<Redacted.Redacted> => ({
  path: about.path,
  meaning: about.meaning,
  config: Config.map(
    Config.schema(
      textCodec(Schema.String, (value) => (about.accepts(Redacted.make(value)) ? value : undefined)),
      [...about.path],
    ),
    (value) => Redacted.make(value),
  ),
  fallback: null,
  fallbackText: "",
  unit: "",
  expected: about.expected,
  shape: "text",
  nullable: false,
  show: () => null,
})

/** A list of texts: an array in the file, separated by commas in the environment. Repeats are dropped. */
export const list = (
  about: Omit<About<ReadonlyArray<string>>, "fallback"> & {
    readonly accepts: (element: string) => boolean
    readonly expected: string
  },
): Setting<ReadonlyArray<string>> => ({
  path: about.path,
  meaning: about.meaning,
  config: Config.Array(
    textCodec(Schema.String, (value) => (about.accepts(value.trim()) ? value.trim() : undefined)),
    [...about.path],
  ).pipe(Config.map((elements) => [...new Set(elements)])),
  fallback: () => [],
  fallbackText: "none",
  unit: "",
  expected: about.expected,
  shape: "list",
  nullable: false,
  show: showText,
})
