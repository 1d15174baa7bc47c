/** The flags of `group add` and `group set` that say what a group's containers have beyond the daemon's settings. */
import { pathTo, text } from "./Flags.ts"
import { Effect, Option, Schema } from "effect"
import { type Command } from "effect/cli"
import { SandboxOverride } from "../domain/ContainerSpec.ts"
import { GroupContainer } from "../domain/Group.ts"
import { MountRequest } from "../domain/MountPolicy.ts"
import { AptPackage, NpmPackage } from "../domain/ImagePlan.ts"
import { CommandError } from "./Root.ts"

export const containerFlags = {
  sandbox: text(
    "sandbox",
    'Limits of this group\'s containers as JSON, e.g. {"memoryBytes":536870912,"network":"bridge"}; replaces all of them',
  ),
  mounts: text(
    "mounts",
    'Folders of the host as JSON, e.g. [{"source":"/srv/data","target":"data","access":"read-only"}]; replaces all of them',
  ),
  apt: text("apt", "Debian packages of this group's image, separated by commas; replaces all of them"),
  npm: text("npm", "npm packages of this group's image, separated by commas; replaces all of them"),
  skills: text("skills", "The shared skills that its agents see, separated by commas, or all"),
  runnerDir: pathTo(
    "runner-dir",
    "A folder of the host in place of the runner's source, or - for the runner",
  ),
}

export type ContainerInput = {
  readonly [Name in keyof typeof containerFlags]: Command.Command.Config.Infer<typeof containerFlags>[Name]
}

const strict = { onExcessProperty: "error" } as const
const decodeSandbox = Schema.decodeUnknownEffect(Schema.fromJsonString(SandboxOverride), strict)
const decodeMounts = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Array(MountRequest)), strict)
const decodeApt = Schema.decodeUnknownEffect(Schema.Array(AptPackage))
const decodeNpm = Schema.decodeUnknownEffect(Schema.Array(NpmPackage))
const decodeSkills = Schema.decodeUnknownEffect(GroupContainer.fields.skills)

const words = (text: string): ReadonlyArray<string> => text.split(",").filter((word) => word !== "")

/** `undefined` when no flag says anything. */
export const containerChange = Effect.fnUntraced(function* (input: ContainerInput, stored: GroupContainer) {
  const read = <A>(
    flag: string,
    given: Option.Option<string>,
    decode: (text: string) => Effect.Effect<A, { readonly message: string }>,
  ): Effect.Effect<A | undefined, CommandError> =>
    Option.isNone(given)
      ? Effect.succeed(undefined)
      : decode(given.value).pipe(
          Effect.mapError(
            ({ message }) =>
              new CommandError({ message: `--${flag} ${given.value} can't be used: ${message}` }),
          ),
        )
  const sandbox = yield* read("sandbox", input.sandbox, decodeSandbox)
  const mounts = yield* read("mounts", input.mounts, decodeMounts)
  const apt = yield* read("apt", input.apt, (text) => decodeApt(words(text)))
  const npm = yield* read("npm", input.npm, (text) => decodeNpm(words(text)))
  const skills = yield* read("skills", input.skills, (text) =>
    decodeSkills(text === "all" ? text : words(text)),
  )
  const runnerDir = Option.map(input.runnerDir, (path) => (path === "-" ? null : path))
  if ([sandbox, mounts, apt, npm, skills].every((said) => said === undefined) && Option.isNone(runnerDir))
    return undefined
  return {
    ...stored,
    sandbox: sandbox ?? stored.sandbox,
    mounts: mounts ?? stored.mounts,
    packages: { apt: apt ?? stored.packages.apt, npm: npm ?? stored.packages.npm },
    skills: skills ?? stored.skills,
    runnerDir: Option.getOrElse(runnerDir, () => stored.runnerDir),
  } satisfies GroupContainer
})
