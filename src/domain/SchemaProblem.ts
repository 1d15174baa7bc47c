/** What is wrong with a value of a Schema, and where. A field that is not known is told together with those that are. */
import { SchemaIssue } from "effect"

const unknownField = ({ ast }: SchemaIssue.UnexpectedKey): string =>
  ast._tag === "Objects"
    ? `there is no such field; known here are ${ast.propertySignatures.map(({ name }) => String(name)).join(", ")}`
    : "there is no such field"

export const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    if (issue._tag === "UnexpectedKey") return unknownField(issue)
    if (issue._tag === "MissingKey") return "it is missing"
    return SchemaIssue.defaultLeafHook(issue)
  },
})

/** `sessions[0].agent` */
export const pathText = (path: ReadonlyArray<PropertyKey>): string =>
  path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : `${index === 0 ? "" : "."}${String(key)}`))
    .join("")

/** All that is wrong, in one line. */
export const describeIssue = (issue: SchemaIssue.Issue): string =>
  formatIssue(issue)
    .issues.map(({ message, path = [] }) => {
      const place = pathText(path.map((key) => (typeof key === "object" ? key.key : key)))
      return place === "" ? message : `${place}: ${message}`
    })
    .join("; ")
