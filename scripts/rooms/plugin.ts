/**
 * The oxlint plugin that asks `Rooms.ts` about every import, whatever its syntax, keeps the host's clock out of domain and services,
 * and refuses the casts that switch the compiler off. A lint rule works on the parsed program, so comments and strings neither hide
 * nor fake a violation.
 */
import { statSync } from "node:fs"
import * as path from "node:path"
import type { RuleTester } from "oxlint/plugins-dev"
import { refuseImport } from "./Rooms.ts"

/** The linter exports its types by its tester alone. */
type Rule = Exclude<Parameters<RuleTester["run"]>[1], { readonly createOnce: unknown }>
type Visitor = ReturnType<Rule["create"]>
type NodeOf<Name extends keyof Visitor> = Parameters<NonNullable<Visitor[Name]>>[0]
type Expression = NodeOf<"TSAsExpression">["expression"]

const imports: Rule = {
  create: (context) => {
    const importer = path.relative(context.cwd, context.filename).split(path.sep).join("/")
    const isFile = (file: string) =>
      statSync(path.join(context.cwd, file), { throwIfNoEntry: false })?.isFile() === true

    const judge = (source: Expression | null, names: ReadonlyArray<string> | null = null) => {
      if (source === null) return
      if (source.type !== "Literal" || typeof source.value !== "string")
        return context.report({
          node: source,
          message: "import a literal path: a computed one can't be checked",
        })
      const message = refuseImport({ importer, specifier: source.value, names }, isFile)
      if (message !== null) context.report({ node: source, message })
    }
    const nameOf = (one: NodeOf<"ExportSpecifier">["local"]): string =>
      one.type === "Literal" ? one.value : one.name

    return {
      ImportDeclaration: ({ source, specifiers }) => {
        const names = specifiers.flatMap((one) =>
          one.type === "ImportSpecifier" ? [nameOf(one.imported)] : [],
        )
        judge(source, names.length > 0 && names.length === specifiers.length ? names : null)
      },
      ExportNamedDeclaration: ({ source, specifiers }) =>
        judge(
          source,
          specifiers.map((one) => nameOf(one.local)),
        ),
      ExportAllDeclaration: ({ source }) => judge(source),
      ImportExpression: ({ source }) => judge(source),
      TSImportType: ({ source }) => judge(source),
      TSImportEqualsDeclaration: (node) => context.report({ node, message: "use an import declaration" }),
    }
  },
}

/** `Date.UTC` is arithmetic; everything else of `Date` reads the host's clock or zone, or invites it. */
const date: Rule = {
  create: (context) => ({
    Identifier: (node) => {
      if (node.name !== "Date" || !context.sourceCode.isGlobalReference(node)) return
      const { parent } = node
      const isMember = parent.type === "MemberExpression" && parent.object === node && !parent.computed
      if (isMember && parent.property.name === "UTC") return
      context.report({
        node,
        message: "of Date only Date.UTC: take `now` as an argument or from effect's Clock",
      })
    },
  }),
}

/** What a JSON text holds, to which `parseJson` is the only way. */
const isJson = (node: Expression): boolean =>
  node.type === "CallExpression" && node.callee.type === "Identifier" && node.callee.name === "parseJson"

/** `as never` says that a value is of every type, and `parseJson(text) as X` that whoever wrote the text was right. */
const casts: Rule = {
  create: (context) => {
    const cast = (node: NodeOf<"TSAsExpression"> | NodeOf<"TSTypeAssertion">) => {
      const refuse = (message: string) => context.report({ node, message })
      if (node.typeAnnotation.type === "TSNeverKeyword")
        refuse("'as never' hides every mistake: make the value, or narrow its type")
      else if (isJson(node.expression))
        refuse("what a JSON text holds is unknown: decode it with the Schema, or look at it field by field")
    }
    return { TSAsExpression: cast, TSTypeAssertion: cast }
  },
}

const START = { line: 1, column: 0 }

/**
 * A rule that a comment can switch off is a suggestion. An exception is an entry of the configuration, where everybody sees it. The
 * report stands at the beginning of the file, which no such comment covers.
 */
const comments: Rule = {
  create: (context) => ({
    Program: () => {
      for (const { loc, value } of context.sourceCode.getAllComments()) {
        if (!/^[\s*]*(oxlint|eslint)-disable/.test(value)) continue
        const message = `no comment switches a rule off (line ${loc.start.line})`
        context.report({ loc: { start: START, end: START }, message })
      }
    },
  }),
}

export default { meta: { name: "rooms" }, rules: { imports, date, casts, comments } }
