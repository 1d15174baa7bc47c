/**
 * The rooms of the source tree and what each may import. Pure: paths and specifiers in, a reason or `null` out. The lint plugin
 * beside it asks these questions of every import; `docs/architecture.md` explains why the directions are what they are.
 */

/** `main` is the composition root (`src/main.ts` and `src/cli/`); `tooling` is everything that no room of `src` may see. */
export type Room = "domain" | "services" | "layers" | "main" | "testing" | "container" | "test" | "tooling"

/** One import, re-export, dynamic import or type import, with paths relative to the repository's root, `/`-separated. */
export interface ImportStatement {
  readonly importer: string
  readonly specifier: string
  /** The names it takes; `null` when it takes the whole module (a namespace, a side effect, `export *`, `import()`). */
  readonly names: ReadonlyArray<string> | null
}

/** The rooms of the repository that a room may import from; itself always. */
const MAY_IMPORT: Readonly<Record<Room, ReadonlyArray<Room>>> = {
  domain: [],
  services: ["domain"],
  layers: ["domain", "services"],
  testing: ["domain", "services", "layers"],
  // The command `simulate` plays scenarios.
  main: ["domain", "services", "layers", "testing"],
  container: [],
  // The bench measures what the tests besiege a host with.
  tooling: ["domain", "services", "layers", "main", "testing", "container", "test"],
  test: ["domain", "services", "layers", "main", "testing", "container", "tooling"],
}

/** Modules of `effect` that are values and functions of values: no fiber, clock or service is needed to use them. */
const DATA_MODULES = new Set(
  (
    "Array BigDecimal BigInt Boolean Brand Chunk Data DateTime Duration Equal Equivalence Function Hash HashMap HashSet " +
    "Iterable Match NonEmptyIterable Number Option Order Ordering Predicate Record RegExp Result Schema SchemaAST " +
    "SchemaGetter SchemaIssue SchemaTransformation String Struct Tuple Types UndefinedOr absurd flow hole identity pipe"
  ).split(" "),
)

/** Modules of `effect` that are marked unstable, or that reach for the host: services must not stand on them. */
const UNSTABLE_MODULES = new Set(
  (
    "ByteSize ChannelSchema ErrorReporter ExecutionPlan FileSystem Glob Graph HashRing LayerMap LayerRef Newtype " +
    "PartitionedSemaphore Path PlatformError SemVer SemVerRange Stdio Terminal TextDiff TxChunk TxQueue Version"
  ).split(" "),
)

const CRON_PARSER_HOME = "src/domain/CronSchedule.ts"
const SQLITE_HOMES = ["src/layers/sqlite/", "src/layers/exchange/", "src/layers/outbound/"]
/** The in-memory layers, and what they share with the runtimes of real hosts. */
const HOSTLESS = ["src/layers/memory/", "src/layers/runtime/"]

const isHostless = (path: string): boolean => HOSTLESS.some((home) => path.startsWith(home))

const roomOf = (path: string): Room => {
  if (path.startsWith("src/domain/")) return "domain"
  if (path.startsWith("src/services/")) return "services"
  if (path.startsWith("src/layers/")) return "layers"
  if (path.startsWith("src/testing/")) return "testing"
  if (path.startsWith("src/")) return "main"
  if (path.startsWith("container/")) return "container"
  if (path.startsWith("test/")) return "test"
  return "tooling"
}

/** Why this import is refused, or `null`. `isFile` says whether a path of the repository is a file. */
export const refuseImport = (
  statement: ImportStatement,
  isFile: (path: string) => boolean,
): string | null => {
  const { importer, specifier } = statement
  if (specifier.startsWith(".")) return refuseRelative(importer, specifier, isFile)
  if (specifier.startsWith("/") || specifier.startsWith("#") || /^(file|data|https?):/.test(specifier))
    return `import "${specifier}" by a relative path or a package name`
  return refusePackage(statement)
}

const refuseRelative = (
  importer: string,
  specifier: string,
  isFile: (path: string) => boolean,
): string | null => {
  if (!specifier.endsWith(".ts"))
    return `"${specifier}" must end in .ts: Node runs the sources as they are and guesses no extension`
  const target = resolve(importer, specifier)
  if (target === null) return `"${specifier}" leaves the repository`
  if (!isFile(target)) return `"${specifier}" is not a file (${target})`
  const from = roomOf(importer)
  const to = roomOf(target)
  if (from !== to && !MAY_IMPORT[from].includes(to))
    return `${from} must not import ${to} (${target}); imports go main → layers → services → domain`
  if (from === "layers" && isHostless(importer) && to === "layers" && !isHostless(target))
    return `the in-memory layers must not import other layers (${target}): they run where no host is`
  if (
    from !== "test" &&
    from !== "tooling" &&
    target.endsWith("/index.ts") &&
    !importer.endsWith("/index.ts")
  )
    return `import the module itself, not the barrel ${target}: barrels are for consumers and make cycles`
  return null
}

const refusePackage = ({ importer, names, specifier }: ImportStatement): string | null => {
  const room = roomOf(importer)
  switch (room) {
    case "domain":
      if (specifier === "cron-parser")
        return importer === CRON_PARSER_HOME ? null : `only ${CRON_PARSER_HOME} may import cron-parser`
      return refuseEffect(room, specifier, names, (module) => DATA_MODULES.has(module))
    case "services":
      return refuseEffect(room, specifier, names, (module) => !UNSTABLE_MODULES.has(module))
    case "container":
      return specifier.startsWith("node:")
        ? null
        : `container must not import "${specifier}": the runner has node:* and nothing to install`
    case "test":
    case "tooling":
      return null
    case "layers":
    case "main":
    case "testing":
      if (
        specifier.split("/")[0] === "better-sqlite3" &&
        !SQLITE_HOMES.some((home) => importer.startsWith(home))
      )
        return `only ${SQLITE_HOMES.join(", ")} may import better-sqlite3`
      if (isHostless(importer) && !isPackage("effect", specifier))
        return `the in-memory layers must not import "${specifier}": they run where no host is`
      return null
  }
}

const refuseEffect = (
  room: "domain" | "services",
  specifier: string,
  names: ReadonlyArray<string> | null,
  allowed: (module: string) => boolean,
): string | null => {
  if (!isPackage("effect", specifier)) return `${room} must not import "${specifier}"`
  const kind = room === "domain" ? "data" : "stable"
  if (specifier !== "effect") {
    const module = specifier.slice("effect/".length)
    if (/^[A-Z][A-Za-z]*$/.test(module) && allowed(module)) return null
    return `${room} may import only ${kind} modules of effect, and "${specifier}" is not one`
  }
  if (names === null) return `${room} must name the modules that it takes from "effect"`
  const refused = names.filter((name) => !allowed(name))
  return refused.length === 0
    ? null
    : `${room} may import only ${kind} modules of effect, and ${refused.join(", ")} is not one`
}

const isPackage = (name: string, specifier: string): boolean =>
  specifier === name || specifier.startsWith(`${name}/`)

/** The path that `specifier` names, seen from the file `importer`; `null` above the root. */
const resolve = (importer: string, specifier: string): string | null => {
  const parts = importer.split("/").slice(0, -1)
  for (const part of specifier.split("/")) {
    if (part === "." || part === "") continue
    if (part !== "..") parts.push(part)
    else if (parts.pop() === undefined) return null
  }
  return parts.join("/")
}
