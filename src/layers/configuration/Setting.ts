/**
 * A setting: one value of the configuration with all that is known about it: where it stands in the file, its environment variable, how
 * its text is read, what is accepted, its default and its meaning. All of that follows from its name, its Schema, its default and a
 * description; errors and the manual are written from it.
 */
import { Redacted, Result, Schema } from "effect"
import { parseDurationOrMillis } from "../../domain/DurationText.ts"
import { formatBytes, formatDuration, parseBytes } from "./QuantityText.ts"

export interface Setting<A> {
  /** In the file: `["policy", "idleMs"]`. */
  readonly path: ReadonlyArray<string>
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
  /** The value that a text, or a list of them, stands for; undefined when it is none. */
  readonly parse: (given: string | ReadonlyArray<string>) => A | undefined
  /** What may help whoever wrote this text, beyond `expected`. */
  readonly hint: (given: string) => string
  /** The value as an error may show it; null hides it. */
  readonly show: (value: string) => string | null
}

export const keyOf = (setting: { readonly path: ReadonlyArray<string> }): string => setting.path.join(".")

/** `policy.idleMs` is `LAMPLIGHTER_POLICY_IDLE_MS`: words in capitals, joined by `_`, after the prefix. */
export const environmentName = (path: ReadonlyArray<string>): string =>
  ["lamplighter", ...path]
    .map((segment) => segment.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replaceAll("-", "_"))
    .join("_")
    .toUpperCase()

const SHOWN_CHARACTERS = 100

const showText = (value: string): string =>
  JSON.stringify(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value)

/** The texts that `accepts` accepts; `expected` says which those are. */
export const textThat = (expected: string, accepts: (text: string) => boolean) =>
  Schema.String.check(Schema.makeFilter(accepts, { expected }))

type Reading = Pick<Setting<unknown>, "unit" | "expected" | "shape" | "nullable"> & {
  /** Before the Schema judges. */
  readonly read: (given: string | ReadonlyArray<string>) => unknown
  readonly format: (value: unknown) => string
}

const numeric = (pattern: RegExp) => (text: string) => (pattern.test(text.trim()) ? Number(text) : undefined)

/** How a number's text is read and shown; its range is the Schema's. */
const numbers = {
  ms: {
    read: (text: string) => Result.getOrUndefined(parseDurationOrMillis(text)),
    format: formatDuration,
    expected: (range: string) =>
      `a length of time ${range}: whole milliseconds, or a text like "90s" or "30 minutes"`,
  },
  bytes: {
    read: parseBytes,
    format: formatBytes,
    expected: (range: string) => `a size ${range}: whole bytes, or a text like "64 KiB"`,
  },
  integer: {
    read: numeric(/^\d{1,15}$/),
    format: String,
    expected: (range: string) => `a whole number ${range}`,
  },
  number: {
    read: numeric(/^\d{1,15}(?:\.\d{1,15})?$/),
    format: String,
    expected: (range: string) => `a number ${range}`,
  },
}

type JsonSchema = ReturnType<typeof Schema.toJsonSchemaDocument>["schema"]

const numberReading = (name: string, json: JsonSchema): Reading => {
  const unit = name.endsWith("Ms") ? "ms" : name.endsWith("Bytes") ? "bytes" : ""
  const { expected, format, read } = numbers[unit || (json["type"] === "integer" ? "integer" : "number")]
  const { minimum, maximum } = json
  if (typeof minimum !== "number" || typeof maximum !== "number") throw new Error(`${name} needs a range`)
  return {
    unit,
    shape: "quantity",
    nullable: false,
    expected: expected(`from ${format(minimum)} to ${format(maximum)}`),
    read: (given) => read(String(given)),
    format: (value) => format(Number(value)),
  }
}

/** Reads texts as the Schema's values are written: by its JSON schema, and in numbers by the unit that ends its name. */
const readingOf = (name: string, json: JsonSchema, expected: string): Reading => {
  const whole = { unit: "", nullable: false, read: (given: unknown) => given, format: String } as const
  if (Array.isArray(json["anyOf"])) {
    const reading = readingOf(name, json["anyOf"][0], expected)
    return {
      ...reading,
      nullable: true,
      expected: `${reading.expected}; or "none"`,
      read: (given) => (given === "none" ? null : reading.read(given)),
      format: (value) => (value === null ? "none" : reading.format(value)),
    }
  }
  if (Array.isArray(json["enum"])) {
    const words: ReadonlyArray<string> = json["enum"]
    return {
      ...whole,
      shape: "text",
      expected: words.map((word) => `"${word}"`).join(" or "),
      read: (given) => words.find((word) => word.toLowerCase() === String(given).toLowerCase()),
    }
  }
  if (json["type"] === "array") {
    return {
      ...whole,
      shape: "list",
      expected,
      read: (given) => [
        ...new Set((typeof given === "string" ? given.split(",") : given).map((each) => each.trim())),
      ],
      format: () => "none",
    }
  }
  return json["type"] === "string" ? { ...whole, shape: "text", expected } : numberReading(name, json)
}

/** A setting without its place. */
type Placed<A> = (path: ReadonlyArray<string>) => Setting<A>

/** A setting by its Schema. Without a fallback it has to be given, unless `more` has one. */
export const setting =
  <A>(
    schema: Schema.Codec<A, unknown>,
    fallback: A | undefined,
    meaning: string,
    more: Partial<Setting<A>> = {},
  ): Placed<A> =>
  (path) => {
    const { format, read, ...reading } = readingOf(
      path.at(-1) ?? "",
      Schema.toJsonSchemaDocument(schema).schema,
      String(Schema.resolveAnnotations(schema)?.["expected"]),
    )
    const isValue = Schema.is(schema)
    return {
      ...reading,
      path,
      meaning,
      fallback: fallback === undefined ? null : () => fallback,
      fallbackText: fallback === undefined ? "" : format(fallback),
      parse: (given) => {
        const value = read(given)
        return isValue(value) ? value : undefined
      },
      hint: () => "",
      show: showText,
      ...more,
    }
  }

/** A text that nobody sees again. */
export const secret =
  (
    expected: string,
    accepts: (secret: Redacted.Redacted) => boolean,
    meaning: string,
    more: Partial<Setting<Redacted.Redacted>> = {},
  ): Placed<Redacted.Redacted> =>
  (path) => {
    const accepted = textThat(expected, (text) => accepts(Redacted.make(text)))
    const given = setting(accepted, undefined, meaning)(path)
    return {
      ...given,
      fallback: null,
      show: () => null,
      parse: (text) => {
        const value = given.parse(text)
        return value === undefined ? undefined : Redacted.make(value)
      },
      ...more,
    }
  }

/** Settings by the names under which they stand at this place of the file. */
export const section = <T extends object>(
  path: ReadonlyArray<string>,
  settings: { readonly [Name in keyof T]: Placed<T[Name]> },
) =>
  Object.fromEntries(
    Object.entries<Placed<unknown>>(settings).map(([name, place]) => [name, place([...path, name])]),
  ) as { readonly [Name in keyof T]: Setting<T[Name]> }

/** The values of a section. */
export type ValuesOf<Section> = {
  readonly [Name in keyof Section]: Section[Name] extends Setting<infer A> ? A : never
}

/** The settings of a struct's fields, which describe themselves. */
export const settingsOf = <const Fields extends Readonly<Record<string, Schema.Codec<unknown>>>>(
  name: string,
  fields: Fields,
) => {
  const described = Object.entries(fields).map(([field, schema]) => {
    const said = Schema.resolveAnnotations(schema)
    return [field, setting(schema, said?.["default"], String(said?.["description"]))]
  })
  return section<{ [Name in keyof Fields]: Fields[Name]["Type"] }>([name], Object.fromEntries(described))
}
