/**
 * What a group's agents keep between containers, and which of the shared skills they see. The state folder is theirs to write in; the
 * folder of links to skills is the host's, outside of it and mounted over it read-only, so that nothing the host writes meets a link
 * that an agent planted.
 */
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { SKILLS_TARGET, type SkillFolders } from "../../domain/ContainerSpec.ts"
import type { GroupId } from "../../domain/Ids.ts"

export interface AgentStateOptions {
  readonly dataDir: string
  /** Shared skills, a folder each; null: there are none. */
  readonly skillsDir: string | null
}

const SKILL = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/

const shared = async (skillsDir: string): Promise<ReadonlyArray<string>> => {
  const entries = await fs.readdir(skillsDir, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory() && SKILL.test(entry.name)).map(({ name }) => name)
}

/** Rejects with what is wrong: a skill that a group names and nobody shares is a mistake, not a wish. */
export const prepareAgentState = async (
  options: AgentStateOptions,
  group: GroupId,
  wanted: "all" | ReadonlyArray<string>,
): Promise<{ readonly stateDir: string; readonly skills?: SkillFolders }> => {
  const stateDir = path.join(options.dataDir, "state", group)
  await fs.mkdir(stateDir, { recursive: true, mode: 0o755 })
  if (options.skillsDir === null) {
    if (wanted !== "all" && wanted.length > 0)
      throw new Error(`skill ${wanted[0]} is not there: no folder of skills is set; set docker.skillsDir`)
    return { stateDir }
  }
  const skillsDir = await fs.realpath(options.skillsDir)
  const known = await shared(skillsDir)
  const chosen = new Set(wanted === "all" ? known : wanted)
  for (const name of chosen)
    if (!known.includes(name))
      throw new Error(`skill ${name} is not in ${skillsDir}; it has: ${known.join(", ") || "none"}`)
  const selected = path.join(options.dataDir, "skills", group)
  await fs.mkdir(selected, { recursive: true, mode: 0o755 })
  const linked = new Set(await fs.readdir(selected))
  for (const name of linked) if (!chosen.has(name)) await fs.rm(path.join(selected, name), { force: true })
  for (const name of chosen)
    if (!linked.has(name))
      await fs.symlink(`${SKILLS_TARGET}/${name}`, path.join(selected, name)).catch(isThere)
  await mountPoint(path.join(stateDir, "skills"))
  return { stateDir, skills: { shared: skillsDir, selected } }
}

/** A folder, whatever an agent has put there: what the engine mounts over must lead nowhere else. */
const mountPoint = async (place: string): Promise<void> => {
  const stat = await fs.lstat(place).catch(() => null)
  if (stat?.isDirectory() === true) return
  // If another session was faster, it is the wanted folder by now.
  await fs.unlink(place).catch(() => undefined)
  await fs.mkdir(place, { mode: 0o755 }).catch(isThere)
}

/** Two sessions of a group may wake at once. */
const isThere = (error: NodeJS.ErrnoException): void => {
  if (error.code !== "EEXIST") throw error
}
