/** The flags of commands: each with what its help says. One that is left out says nothing, so that what it is about stays as it is. */
import { Option, Schema } from "effect"
import { type Command, Flag } from "effect/cli"

const optional = <A>(flag: Flag.Flag<A>, says: string) => flag.pipe(Flag.withDescription(says), Flag.optional)

export const text = (name: string, says: string) => optional(Flag.String(name), says)

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

export const whether = (name: string, says: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(says), Flag.withDefault(false))

/** What flags say, without those that were left out. */
export type Said<Flags extends Command.Command.Config> = Given<Command.Command.Config.InferValue<Flags>>

type Left<A, Name extends keyof A> = A[Name] extends Option.Option<unknown> ? Name : never
type Given<A> = { readonly [Name in keyof A as Exclude<Name, Left<A, Name>>]: A[Name] } & {
  readonly [Name in keyof A as Left<A, Name>]?: A[Name] extends Option.Option<infer Value> ? Value : never
}

/** What the flags say, and nothing of those that were left out. */
export const given = <A extends object>(options: A) =>
  Object.fromEntries(
    Object.entries(options).flatMap(([name, value]) =>
      Option.isOption(value) ? Option.toArray(value).map((said) => [name, said]) : [[name, value]],
    ),
  ) as Given<A>
