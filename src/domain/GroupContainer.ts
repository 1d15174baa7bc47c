/**
 * What a group says about its containers beyond the daemon's settings: limits, folders of the host, packages, skills, the runner. Every
 * field has a value that changes nothing; what a group changes is shown, never silent.
 */
import { Schema } from "effect"
import { SandboxOverride } from "./ContainerSpec.ts"
import { AbsolutePath, MountRequest } from "./MountPolicy.ts"
import { hasPackages, ImagePackages, noPackages } from "./PackageNames.ts"

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
