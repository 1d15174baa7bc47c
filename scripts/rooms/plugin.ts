/**
 * The oxlint plugin that asks `Rooms.ts` about every import, whatever its syntax, and that keeps the host's clock out of domain
 * and services. Being a lint rule it works on the parsed program, so comments and strings neither hide nor fake a violation.
 */
import { statSync } from "node:fs"
import * as path from "node:path"
import { refuseImport } from "./Rooms.ts"

/** The little of the linter's interface that is used here. */
interface Node {
  readonly type: string
  readonly name?: string
  readonly value?: unknown
  readonly parent?: Node
  readonly object?: Node
  readonly computed?: boolean
  readonly property?: Node
  readonly source?: Node | null
  readonly specifiers?: ReadonlyArray<Node>
  readonly imported?: Node
  readonly local?: Node
}
interface Context {
  readonly filename: string
  readonly cwd: string
  readonly report: (problem: { readonly node: Node; readonly message: string }) => void
  readonly sourceCode: { readonly isGlobalReference: (node: Node) => boolean }
}

const textOf = (node: Node | undefined): string => String(node?.name ?? node?.value)

const imports = {
  create: (context: Context) => {
    const importer = path.relative(context.cwd, context.filename).split(path.sep).join("/")
    const isFile = (file: string) =>
      statSync(path.join(context.cwd, file), { throwIfNoEntry: false })?.isFile() === true

    const judge = (node: Node, source: Node | null | undefined, names: ReadonlyArray<string> | null) => {
      if (source === null || source === undefined) return
      if (typeof source.value !== "string")
        return context.report({ node, message: "import a literal path: a computed one can't be checked" })
      const message = refuseImport({ importer, specifier: source.value, names }, isFile)
      if (message !== null) context.report({ node: source, message })
    }

    return {
      ImportDeclaration: (node: Node) => {
        const specifiers = node.specifiers ?? []
        const whole = specifiers.length === 0 || specifiers.some((one) => one.type !== "ImportSpecifier")
        judge(node, node.source, whole ? null : specifiers.map((one) => textOf(one.imported)))
      },
      ExportNamedDeclaration: (node: Node) =>
        judge(
          node,
          node.source,
          (node.specifiers ?? []).map((one) => textOf(one.local)),
        ),
      ExportAllDeclaration: (node: Node) => judge(node, node.source, null),
      ImportExpression: (node: Node) => judge(node, node.source, null),
      TSImportType: (node: Node) => judge(node, node.source, null),
      TSImportEqualsDeclaration: (node: Node) =>
        context.report({ node, message: "use an import declaration" }),
    }
  },
}

/** `Date.UTC` is arithmetic; everything else of `Date` reads the host's clock or zone, or invites it. */
const date = {
  create: (context: Context) => ({
    Identifier: (node: Node) => {
      if (node.name !== "Date" || !context.sourceCode.isGlobalReference(node)) return
      const parent = node.parent
      const isUtc =
        parent?.type === "MemberExpression" &&
        parent.object === node &&
        parent.computed !== true &&
        parent.property?.name === "UTC"
      if (!isUtc)
        context.report({
          node,
          message: "of Date only Date.UTC: take `now` as an argument or from effect's Clock",
        })
    },
  }),
}

export default { meta: { name: "rooms" }, rules: { imports, date } }
