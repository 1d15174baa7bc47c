/** The flags of commands: each with what its help says. One that is left out says nothing, so that what it is about stays as it is. */
import { Option, Predicate, Schema } from "effect"
import { type Command, Flag } from "effect/cli"

const optional = <A>(flag: Flag.Flag<A>, says: string) => flag.pipe(Flag.withDescription(says), Flag.optional)

/** Text that stands for itself when nothing is said. */
export const textOr = (name: string, fallback: string, says: string) =>
  Flag.String(name).pipe(Flag.withDescription(says), Flag.withDefault(fallback))

export const text = (name: string, says: string) => optional(Flag.String(name), says)

/** Text that is read as something else, whatever it says. */
export const textAs = <A>(name: string, read: (text: string) => A, says: string) =>
  optional(Flag.map(Flag.String(name), read), says)

/** Where something is; never an empty text, which would stand for some other place. */
export const pathTo = (name: string, says: string) =>
  optional(Flag.String(name).pipe(Flag.withSchema(Filled)), says)
export const Filled = Schema.NonEmptyString

export const number = (name: string, says: string) => optional(Flag.Int(name), says)

/** Text or a number of a form, such as an id. */
export const formed = <A>(name: string, form: Schema.Codec<A, string>, says: string) =>
  optional(Flag.String(name).pipe(Flag.withSchema(form)), says)

export const counted = <A>(name: string, range: Schema.Codec<A, number | null>, says: string) =>
  optional(Flag.Int(name).pipe(Flag.withSchema(range)), says)

export const choice = <const Choices extends ReadonlyArray<string>>(
  name: string,
  choices: Choices,
  says: string,
) => optional(Flag.Literals(name, choices), says)

export const choiceOr = <const Choices extends ReadonlyArray<string>>(
  name: string,
  choices: Choices,
  fallback: Choices[number],
  says: string,
) => Flag.Literals(name, choices).pipe(Flag.withDescription(says), Flag.withDefault(fallback))

export const whether = (name: string, says: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(says), Flag.withDefault(false))

/** What flags say, nested as they are, without those that were left out. */
export type Said<Flags extends Command.Command.Config> = Given<Command.Command.Config.InferValue<Flags>>

type Left<A, Name extends keyof A> = A[Name] extends Option.Option<unknown> ? Name : never
type Given<A> = A extends string | number | boolean | ReadonlyArray<unknown>
  ? A
  : { readonly [Name in keyof A as Exclude<Name, Left<A, Name>>]: Given<A[Name]> } & {
      readonly [Name in keyof A as Left<A, Name>]?: A[Name] extends Option.Option<infer Value> ? Value : never
    }

export const given = <A extends object>(options: A): Given<A> =>
  Object.fromEntries(
    Object.entries(options).flatMap(([name, value]) => {
      if (Option.isOption(value)) return Option.toArray(value).map((said) => [name, said])
      return [[name, Predicate.isObject(value) ? given(value) : value]]
    }),
  ) as Given<A>

/** Of a flag that takes - for nothing. */
export const unlessDash = (text: string): string | null => (text === "-" ? null : text)

/** Of a flag that takes several words. */
export const wordsOf = (text: string): ReadonlyArray<string> => text.split(",").filter((word) => word !== "")
