/** What is wrong with the configuration: all of it in one report, so that an operator repairs it in one go. */
import { Schema } from "effect"

export const ConfigurationIssue = Schema.Struct({
  /** As the file spells it: `policy.idleMs`. Empty when the file as a whole is meant. */
  key: Schema.String,
  /** The environment variable or the file that said it; null when nothing did. */
  source: Schema.NullOr(Schema.String),
  /** As given, cut to a bounded length; null when it is missing or secret. */
  value: Schema.NullOr(Schema.String),
  /** What would do. */
  expected: Schema.String,
  message: Schema.String,
})
export type ConfigurationIssue = typeof ConfigurationIssue.Type

/** The daemon does not start. `message` is the whole report, one line per issue. */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>()("ConfigurationError", {
  issues: Schema.NonEmptyArray(ConfigurationIssue),
  message: Schema.String,
}) {}

const MAX_ISSUES = 50

/** Undefined when there is nothing to report. */
export const reportOf = (issues: ReadonlyArray<ConfigurationIssue>): ConfigurationError | undefined => {
  const [first, ...rest] = issues
  if (first === undefined) return undefined
  const shown = [first, ...rest].slice(0, MAX_ISSUES).map(({ message }) => message)
  const more = issues.length > MAX_ISSUES ? [`and ${issues.length - MAX_ISSUES} more`] : []
  return new ConfigurationError({
    issues: [first, ...rest.slice(0, MAX_ISSUES - 1)],
    message: [...shown, ...more].join("\n"),
  })
}

/** Something is missing, or stands where it does not belong. */
export const issueOf = (
  key: string,
  source: string | null,
  expected: string,
  message: string,
): ConfigurationIssue => ({ key, source, value: null, expected, message })

/** The value is there and does not do. `hint`: what else may help. */
export const badValue = (issue: Omit<ConfigurationIssue, "message">, hint = ""): ConfigurationIssue => ({
  ...issue,
  message: `${issue.key} is ${issue.value ?? "<redacted>"}${issue.source === null ? "" : ` (in ${issue.source})`}: expected ${issue.expected}${hint === "" ? "" : `. ${hint}`}`,
})
