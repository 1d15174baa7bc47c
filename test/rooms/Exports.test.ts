/**
 * Nothing is exported for nobody. A name needs a reader in another file: one that imports its module, or a barrel. Barrels themselves
 * and sabotages read nothing. A function may be there for its own module and its own test; a type may be part of what its module
 * promises.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "../..")
const PRODUCT = ["src", "container", "bench", "scripts"]

const files: ReadonlyMap<string, string> = new Map(
  [...PRODUCT, "test", "docs"]
    .flatMap((folder) =>
      fs
        .readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
        .map((name) => path.join(folder, name)),
    )
    .filter((file) => /\.(?:ts|md)$/.test(file))
    .map((file) => [file, fs.readFileSync(path.join(root, file), "utf8")]),
)

const namesIn = (text: string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const [name] of text.matchAll(/[A-Za-z_$][\w$]*/g)) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
const isBarrel = (file: string): boolean => file.endsWith("/index.ts")

/** What a file takes from which module; null: all of it, by its name or at run time. */
const importsOf = (file: string, text: string): ReadonlyMap<string, ReadonlySet<string> | null> => {
  const taken = new Map<string, ReadonlySet<string> | null>()
  for (const [, clause = "", specifier = ""] of text.matchAll(
    /^(?:import|export)\s([^"]*?)\s?from\s"([^"]+)"/gm,
  )) {
    const module = specifier.startsWith(".") ? path.join(path.dirname(file), specifier) : specifier
    const names = /\{([^}]*)\}/.exec(clause)?.[1]
    const before = taken.get(module)
    taken.set(
      module,
      names === undefined || before === null ? null : new Set([...(before ?? []), ...namesIn(names).keys()]),
    )
  }
  for (const [, specifier = ""] of text.matchAll(/import\(\s*"([^"]+)"/g))
    taken.set(path.join(path.dirname(file), specifier), null)
  return taken
}

const readers = [...files].map(([file, text]) => {
  const imported = importsOf(file, text)
  return {
    file,
    names: namesIn(text),
    imported,
    // A page names what a barrel exports; a consumer imports one.
    readsBarrels:
      file.startsWith("docs/") ||
      [...imported.keys()].some((one) => isBarrel(one) || one.startsWith("lamplighter/")),
  }
})
const DECLARATION = /^export (?:async )?(const|function\*?|class|interface|type) ([A-Za-z_$][\w$]*)/gm

const unread = (file: string, text: string): ReadonlyArray<string> => {
  const own = namesIn(text)
  const declared = new Map<string, { count: number; isValue: boolean }>()
  for (const [, kind = "", name = ""] of text.matchAll(DECLARATION)) {
    const before = declared.get(name)
    declared.set(name, {
      count: (before?.count ?? 0) + 1,
      isValue: before?.isValue === true || kind === "const" || kind.startsWith("function"),
    })
  }
  return [...declared].flatMap(([name, { count, isValue }]) => {
    const who = readers.filter(
      (reader) =>
        reader.file !== file &&
        !isBarrel(reader.file) &&
        !reader.file.startsWith("scripts/sabotage/") &&
        reader.names.has(name) &&
        (reader.readsBarrels ||
          reader.imported.get(file) === null ||
          reader.imported.get(file)?.has(name) === true),
    )
    const ownTest = `${path.basename(file, ".ts")}.test.ts`
    if (who.some((reader) => path.basename(reader.file) !== ownTest)) return []
    const usedInside = (own.get(name) ?? 0) > count
    return usedInside && (!isValue || who.length > 0) ? [] : [`${file}: ${name}`]
  })
}

describe("exports", () => {
  it("have a reader outside their own module and test", () => {
    const found = [...files].flatMap(([file, text]) =>
      PRODUCT.some((folder) => file.startsWith(`${folder}/`)) && !isBarrel(file) ? unread(file, text) : [],
    )
    assert.deepStrictEqual(found, [], "remove it, or do not export it")
  })

  it("are missed when nobody reads them", () => {
    const text = "export const nobodyReadsThisName = 1\nexport interface NeitherThisOne {}\n"
    assert.deepStrictEqual(unread("src/domain/Ids.ts", text), [
      "src/domain/Ids.ts: nobodyReadsThisName",
      "src/domain/Ids.ts: NeitherThisOne",
    ])
  })
})
