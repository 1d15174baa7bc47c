/**
 * Which published ways out of a container a version of runc still has. A number alone proves nothing, because distributions patch old
 * versions without renumbering them: what is found is a reason to look, and the operator's word decides.
 */

/** Major, minor, patch and release candidate. A release comes after all of its candidates: its fourth number is the greatest there is. */
type Version = ReadonlyArray<number>

export interface Escape {
  readonly id: string
  /** The first fixed version of each line, oldest first. */
  readonly fixedIn: ReadonlyArray<string>
}

const SIBLINGS_FIXED_IN = ["1.2.8", "1.3.3", "1.4.0-rc.3"]

const ESCAPES: ReadonlyArray<Escape> = [
  { id: "CVE-2024-21626", fixedIn: ["1.1.12"] },
  { id: "CVE-2025-31133", fixedIn: SIBLINGS_FIXED_IN },
  { id: "CVE-2025-52565", fixedIn: SIBLINGS_FIXED_IN },
  { id: "CVE-2025-52881", fixedIn: SIBLINGS_FIXED_IN },
]

const parse = (text: string): Version | undefined =>
  /^v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-rc\.?(\d{1,4}))?/
    .exec(text)
    ?.slice(1)
    .map((part: string | undefined) => Number(part ?? Number.MAX_SAFE_INTEGER))

const compare = (one: Version, other: Version): number =>
  one.map((part, index) => part - (other[index] ?? 0)).find((difference) => difference !== 0) ?? 0

const isFixed = (version: Version, fixedIn: ReadonlyArray<string>): boolean => {
  const fixes = fixedIn.map(parse).filter((fix) => fix !== undefined)
  const ofItsLine = fixes.find(([major, minor]) => major === version[0] && minor === version[1])
  // Lines after the last one that was mended began with the fix; lines before the first never had it.
  const fix = ofItsLine ?? fixes.at(-1)
  return fix !== undefined && compare(version, fix) >= 0
}

/** Empty for a version that has none of them; null for a text that is no version. */
export const knownEscapes = (version: string): ReadonlyArray<Escape> | null => {
  const parsed = parse(version)
  return parsed === undefined ? null : ESCAPES.filter(({ fixedIn }) => !isFixed(parsed, fixedIn))
}

/** A warning for people, or null when there is nothing to warn of. */
export const escapeWarning = (version: string): string | null => {
  const escapes = knownEscapes(version)
  if (escapes === null) return `runc calls itself ${version}, which is no version that can be compared`
  if (escapes.length === 0) return null
  const fixed = [...new Set(escapes.flatMap(({ fixedIn }) => fixedIn))].join(", ")
  return `runc ${version} has known ways out of a container by its number (${escapes.map(({ id }) => id).join(", ")}; fixed in ${fixed}); update it, or check that your distribution has patched it`
}
