/** The flags of `group add` and `group set` that say what a group's containers have beyond the daemon's settings. */
import { Effect, Schema } from "effect"
import { SandboxOverride } from "../domain/ContainerSpec.ts"
import { GroupContainer } from "../domain/Group.ts"
import { MountRequest } from "../domain/MountPolicy.ts"
import { AptPackage, NpmPackage } from "../domain/ImagePlan.ts"
import { pathTo, type Said, text, unlessDash, wordsOf } from "./Flags.ts"
import { jsonOf, readAs } from "./FlagTexts.ts"

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

const decodeSandbox = jsonOf(SandboxOverride)
const decodeMounts = jsonOf(Schema.Array(MountRequest))
const decodeApt = Schema.decodeUnknownEffect(Schema.Array(AptPackage))
const decodeNpm = Schema.decodeUnknownEffect(Schema.Array(NpmPackage))
const decodeSkills = Schema.decodeUnknownEffect(GroupContainer.fields.skills)

/** `undefined` when no flag says anything. */
export const containerChange = Effect.fnUntraced(function* (
  said: Said<typeof containerFlags>,
  stored: GroupContainer,
) {
  if (Object.keys(said).length === 0) return undefined
  const apt = yield* readAs("apt", said.apt, (text) => decodeApt(wordsOf(text)))
  const npm = yield* readAs("npm", said.npm, (text) => decodeNpm(wordsOf(text)))
  const skills = yield* readAs("skills", said.skills, (text) =>
    decodeSkills(text === "all" ? text : wordsOf(text)),
  )
  return {
    sandbox: (yield* readAs("sandbox", said.sandbox, decodeSandbox)) ?? stored.sandbox,
    mounts: (yield* readAs("mounts", said.mounts, decodeMounts)) ?? stored.mounts,
    packages: { apt: apt ?? stored.packages.apt, npm: npm ?? stored.packages.npm },
    requested: stored.requested,
    skills: skills ?? stored.skills,
    runnerDir: said.runnerDir === undefined ? stored.runnerDir : unlessDash(said.runnerDir),
  } satisfies GroupContainer
})
