/** An agent group: configuration, working folder, policy. Many sessions share it. */
import { Schema } from "effect"
import { SandboxOverride } from "./ContainerSpec.ts"
import { GroupId } from "./Ids.ts"
import { EpochMs, Millis } from "./Instant.ts"
import { AbsolutePath, MountRequest } from "./MountPolicy.ts"
import { hasPackages, ImagePackages, noPackages } from "./ImagePlan.ts"
import { PolicyOverride } from "./Policy.ts"

/*
 * What a group says about its containers beyond the daemon's settings: limits, folders of the host, packages, skills, the runner. Every
 * field has a value that changes nothing; what a group changes is shown, never silent.
 */

const MAX_MOUNTS = 50
const MAX_SKILLS = 500

/** A folder below the skills' folder. */
const SkillName = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/))

export const GroupContainer = Schema.Struct({
  /** Fields of the sandbox that this group changes. */
  sandbox: SandboxOverride,
  /** Folders of the host, under /workspace/extra; each has to pass the operator's allowlist. */
  mounts: Schema.Array(MountRequest).check(Schema.isMaxLength(MAX_MOUNTS)),
  /** Added to the group's image. */
  packages: ImagePackages,
  /** What its agents asked for and no operator has approved. */
  requested: ImagePackages,
  /** Which of the shared skills its agents see. */
  skills: Schema.Union([
    Schema.Literal("all"),
    Schema.Array(SkillName).check(Schema.isMaxLength(MAX_SKILLS)),
  ]),
  /** A folder of the host that takes the place of the runner's source at /app/src; it has to pass the allowlist. */
  runnerDir: Schema.NullOr(AbsolutePath),
})
export type GroupContainer = typeof GroupContainer.Type

export const defaultGroupContainer: GroupContainer = {
  sandbox: {},
  mounts: [],
  packages: noPackages,
  requested: noPackages,
  skills: "all",
  runnerDir: null,
}

/** What this group has that others do not, one line each; empty when it changes nothing. */
export const describeGroupContainer = (container: GroupContainer): ReadonlyArray<string> => {
  const packagesOf = ({ apt, npm }: ImagePackages): string =>
    [...apt.map((name) => `apt ${name}`), ...npm.map((name) => `npm ${name}`)].join(", ")
  return [
    ...Object.entries(container.sandbox).map(
      ([name, value]) =>
        `sandbox: ${name} = ${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
    ),
    ...container.mounts.map(
      ({ access, source, target }) => `mount: ${source} at /workspace/extra/${target}, ${access}`,
    ),
    ...(container.runnerDir === null ? [] : [`runner: ${container.runnerDir}`]),
    ...(hasPackages(container.packages) ? [`packages: ${packagesOf(container.packages)}`] : []),
    ...(hasPackages(container.requested)
      ? [`packages that wait for an operator: ${packagesOf(container.requested)}`]
      : []),
    ...(container.skills === "all" ? [] : [`skills: ${container.skills.join(", ") || "none"}`]),
  ]
}

/** Where a session's answers and notices can go. `channelType` names a configured channel, or `agent` for another group. */
export const Destination = Schema.Struct({
  /** What the agent calls it. */
  name: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/)),
  displayName: Schema.NullOr(Schema.String),
  type: Schema.Literals(["channel", "agent"]),
  channelType: Schema.NullOr(Schema.String),
  platformId: Schema.NullOr(Schema.String),
  /** With `type: "agent"`: the group that receives. */
  agentGroupId: Schema.NullOr(GroupId),
})
export type Destination = typeof Destination.Type

/** The longest delay of a timer in Node, 24.8 days: the runner ends a silent turn with one. */
const MAX_TIMER_MS = 2 ** 31 - 1
/** Of all words together: Linux takes no longer list of arguments, and container.json stays far below its own limit. */
const MAX_COMMAND_CHARS = 100_000

/** A program and its arguments, as an operating system takes them. */
const Command = Schema.NonEmptyArray(Schema.String).check(
  Schema.makeFilter(
    (words) =>
      words[0] !== "" &&
      words.every((word) => !word.includes("\0")) &&
      words.reduce((sum, word) => sum + word.length, 0) <= MAX_COMMAND_CHARS,
    {
      expected: `a program that is not empty and its arguments: without NUL characters, at most ${MAX_COMMAND_CHARS} characters in all`,
    },
  ),
)

/** What answers inside the container. The runner reads it from container.json. */
export const ProviderConfig = Schema.Struct({
  /** `echo`, `command`, or a provider of the group's own runner. */
  name: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,31}$/)),
  /** `command` only: the prompt arrives on stdin, stdout is the answer. */
  command: Schema.NullOr(Command),
  /** The longest time a silent turn may take: declared to the host as the timeout of the tool in flight. */
  timeoutMs: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: MAX_TIMER_MS }))),
  model: Schema.NullOr(Schema.String.check(Schema.isBetweenLength(1, 200))),
})
export type ProviderConfig = typeof ProviderConfig.Type

/** As it is stored: groups of older versions say things that no request may say any more, and must still be shown. */
const StoredProvider = Schema.Struct({
  name: Schema.String,
  command: Schema.NullOr(Schema.NonEmptyArray(Schema.String)),
  timeoutMs: Schema.NullOr(Millis),
  model: Schema.NullOr(Schema.String),
})

export const Group = Schema.Struct({
  id: GroupId,
  name: Schema.String.check(Schema.isBetweenLength(1, 200)),
  assistantName: Schema.String.check(Schema.isBetweenLength(1, 200)),
  provider: StoredProvider,
  /** IANA zone; null takes the daemon's. */
  zone: Schema.NullOr(Schema.String),
  policy: PolicyOverride,
  destinations: Schema.Array(Destination),
  /** Users who may use admin commands in this group, beside the owners and global admins of the configuration. */
  admins: Schema.Array(Schema.String),
  /** Container image; null takes the configured base. The process runtime ignores it. */
  imageTag: Schema.NullOr(Schema.String),
  /** False for runners that never look twice at an acked id: a retry then needs a fresh incarnation. */
  runnerReoffers: Schema.Boolean,
  /** Limits, mounts, packages, skills; the process runtime ignores them. */
  container: GroupContainer,
  createdAt: EpochMs,
  /** Grows with each change; an update that names an old one is refused. */
  revision: Schema.Int,
})
export type Group = typeof Group.Type

/** What a group is where nothing else is said of it. */
export const plainGroup = (id: GroupId): Omit<Group, "createdAt" | "revision"> => ({
  id,
  name: id,
  assistantName: id,
  provider: { name: "echo", command: null, timeoutMs: null, model: null },
  zone: null,
  policy: {},
  destinations: [],
  admins: [],
  imageTag: null,
  runnerReoffers: true,
  container: defaultGroupContainer,
})
