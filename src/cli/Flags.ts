/** The flags of commands: each with what its help says. One that is left out says nothing, so that what it is about stays as it is. */
import { Option, type Schema } from "effect"
import { Flag } from "effect/cli"

const optional = <A>(flag: Flag.Flag<A>, says: string) => flag.pipe(Flag.withDescription(says), Flag.optional)

export const text = (name: string, says: string) => optional(Flag.String(name), says)

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

export const whether = (name: string, says: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(says), Flag.withDefault(false))

/** What the flags say, and nothing of those that were left out. */
export const given = <A extends Readonly<Record<string, Option.Option<unknown>>>>(options: A) =>
  Object.fromEntries(
    Object.entries(options).flatMap(([name, option]) =>
      Option.isSome(option) ? [[name, option.value]] : [],
    ),
  ) as { readonly [Name in keyof A]?: Option.Option.Value<A[Name]> }
