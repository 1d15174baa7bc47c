/**
 * The oxlint plugin that asks `Rooms.ts` about every import, whatever its syntax, keeps the host's clock out of domain and services,
 * and refuses the casts that switch the compiler off. A lint rule works on the parsed program, so comments and strings neither hide
 * nor fake a violation.
 */
import { statSync } from "node:fs"
import * as path from "node:path"
import { refuseImport } from "./Rooms.ts"

/** The little of the linter's interface that is used here. */
interface Location {
  readonly start: { readonly line: number; readonly column: number }
  readonly end: { readonly line: number; readonly column: number }
}
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
  readonly callee?: Node
  readonly init?: Node | null
  readonly expression?: Node
  readonly typeAnnotation?: Node | null
  readonly id?: Node
  readonly loc?: Location
}
interface Context {
  readonly filename: string
  readonly cwd: string
  readonly report: (
    problem: { readonly message: string } & ({ readonly node: Node } | { readonly loc: Location }),
  ) => void
  readonly sourceCode: {
    readonly isGlobalReference: (node: Node) => boolean
    readonly getAllComments: () => ReadonlyArray<Node>
  }
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

const isJsonParse = (node: Node | null | undefined): boolean =>
  node?.type === "CallExpression" &&
  node.callee?.object?.name === "JSON" &&
  textOf(node.callee.property) === "parse"

/** Whether a value of this type must be looked at before it can be used: nothing is claimed of it. */
const isUnknown = (type: Node | null | undefined): boolean => type?.type === "TSUnknownKeyword"

/** `as never` says that a value is of every type, and `JSON.parse(text) as X` that whoever wrote the text was right. */
const casts = {
  create: (context: Context) => {
    const unchecked = (node: Node): void =>
      context.report({
        node,
        message:
          "what JSON.parse returns is unknown: decode it with the Schema, or look at it field by field",
      })
    const cast = (node: Node): void => {
      if (node.typeAnnotation?.type === "TSNeverKeyword")
        context.report({
          node,
          message: "'as never' hides every mistake: make the value, or narrow its type",
        })
      else if (isJsonParse(node.expression) && !isUnknown(node.typeAnnotation)) unchecked(node)
    }
    return {
      TSAsExpression: cast,
      TSTypeAssertion: cast,
      MemberExpression: (node: Node) => {
        if (isJsonParse(node.object)) unchecked(node)
      },
      VariableDeclarator: (node: Node) => {
        if (isJsonParse(node.init) && !isUnknown(node.id?.typeAnnotation?.typeAnnotation)) unchecked(node)
      },
    }
  },
}

const START = { line: 1, column: 0 }

/**
 * A rule that a comment can switch off is a suggestion. An exception is an entry of the configuration, where everybody sees it. The
 * report stands at the beginning of the file, which no such comment covers.
 */
const comments = {
  create: (context: Context) => ({
    Program: () => {
      for (const { loc, value } of context.sourceCode.getAllComments()) {
        if (!/^[\s*]*(oxlint|eslint)-disable/.test(String(value))) continue
        const message = `no comment switches a rule off (line ${loc?.start.line})`
        context.report({ loc: { start: START, end: START }, message })
      }
    },
  }),
}

export default { meta: { name: "rooms" }, rules: { imports, date, casts, comments } }
