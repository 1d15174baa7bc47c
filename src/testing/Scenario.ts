/**
 * A scenario: a timeline that somebody wrote down to see what a policy does. YAML, because people write it by hand and comment it;
 * every mistake in it is told with its line and column. `docs/simulation.md` explains the fields, `ScenarioRun.ts` plays it.
 */
import { Result, Schema, type SchemaIssue } from "effect"
import { isSeq, LineCounter, parseDocument } from "yaml"
import { parseDuration } from "../domain/DurationText.ts"
import { GroupId, MessageId, SeriesId, SessionId } from "../domain/Ids.ts"
import { MAX_EPOCH_MS } from "../domain/Instant.ts"
import { Message } from "../domain/Message.ts"
import { PolicyOverride } from "../domain/Policy.ts"
import { formatIssue, pathText } from "../domain/SchemaProblem.ts"
import { CatchUpPolicy, OverlapPolicy } from "../domain/Series.ts"
import { describeProblem } from "../domain/TextProblem.ts"
import { parseZone } from "../domain/Zone.ts"

/** A scenario longer than this says more about patience than about a policy. */
const MAX_SCENARIO_MS = 90 * 86_400_000
const MAX_ENTRIES = 1_000
const MAX_BYTES = 1024 * 1024
/** Messages that one entry of `sends` may become. */
const MAX_REPEATS = 10_000

/** A text of which `wrong` says nothing; what it says otherwise is the refusal. */
const textThat = (wrong: (text: string) => string | undefined) =>
  Schema.String.check(Schema.makeFilter(wrong))

/** `90s`, `30 minutes`, `1h 30m`, or whole milliseconds. */
const Time = Schema.Union([Schema.String, Schema.Finite]).check(
  Schema.makeFilter((value) => {
    const ms = parseDuration(value)
    if (Result.isFailure(ms)) return `a length of time: ${describeProblem(String(value), ms.failure)}`
    return ms.success >= 0 && ms.success <= MAX_SCENARIO_MS ? undefined : "a length of time from 0 to 90 days"
  }),
)
type Time = typeof Time.Type

/** Milliseconds of a checked `Time`; 0 of none. */
export const msOf = (time: Time | undefined): number => Result.getOrElse(parseDuration(time ?? 0), () => 0)

const atMost = <S extends Schema.Top>(item: S) => Schema.Array(item).check(Schema.isMaxLength(MAX_ENTRIES))
const some = Schema.optionalKey

/** What each behaviour may say beside its name. `works`: how long a batch takes, with heartbeats in between. */
const BEHAVIOURS = {
  /** Answers everything. */
  healthy: ["works"],
  /** Claims, and is never heard of again; SIGTERM is ignored, unless `onSigterm` says `releases`. */
  hangs: ["onSigterm"],
  /** Runs, and never looks at its inbox. */
  "never-claims": [],
  /** Exits with `code` before it has looked at anything. */
  "crashes-at-start": ["code", "after"],
  /** Dies in the middle of any batch with one of the messages `on` in it (all when absent); answers the others. */
  crashes: ["on", "code", "works"],
  /** Says of such a batch that it failed; answers the others. */
  fails: ["on", "retryable", "works"],
  /** Starts a tool and is silent while it runs. `declares`: the timeout that it announces; absent: none. */
  "silent-tool": ["declares", "works"],
  /** Works, and only SIGKILL ends it. */
  "ignores-sigterm": ["works"],
} as const satisfies Record<string, ReadonlyArray<string>>
const behaviourNames = Object.keys(BEHAVIOURS) as ReadonlyArray<keyof typeof BEHAVIOURS>

/** One life of an agent. */
export const AgentBehaviour = Schema.Struct({
  behaves: Schema.Literals(behaviourNames),
  works: some(Time),
  after: some(Time),
  declares: some(Time),
  code: some(Schema.Int),
  on: some(Schema.Array(Schema.String)),
  retryable: some(Schema.Boolean),
  onSigterm: some(Schema.Literals(["ignores", "releases"])),
}).check(
  Schema.makeFilter((agent) => {
    const allowed: ReadonlyArray<string> = ["behaves", ...BEHAVIOURS[agent.behaves]]
    const extra = Object.keys(agent).find((key) => !allowed.includes(key))
    return extra === undefined
      ? undefined
      : `an agent that behaves '${agent.behaves}' has no '${extra}'; it may say ${allowed.join(", ")}`
  }),
)
export type AgentBehaviour = typeof AgentBehaviour.Type

/** Exactly the fields that a choice asks for: what it needs, and what it may have. */
const fieldsOf = <A extends object>(
  choose: (
    entry: A,
  ) => { readonly needs: ReadonlyArray<string>; readonly may: ReadonlyArray<string> } | string,
) =>
  Schema.makeFilter((entry: A) => {
    const choice = choose(entry)
    if (typeof choice === "string") return choice
    const given = Object.keys(entry)
    const missing = choice.needs.find((key) => !given.includes(key))
    if (missing !== undefined) return `it needs '${missing}'`
    const extra = given.find((key) => !choice.needs.includes(key) && !choice.may.includes(key))
    return extra === undefined ? undefined : `'${extra}' has no meaning beside ${choice.needs.join(" and ")}`
  })

const Operator = Schema.Struct({
  at: Time,
  does: Schema.Literals(["stop", "hold", "wake", "release", "pause", "resume", "cancel", "redrive"]),
  session: some(SessionId),
  task: some(SeriesId),
  message: some(MessageId),
}).check(
  fieldsOf(({ does, message }) => {
    const needs = ["at", "does"]
    if (["stop", "hold", "wake", "release"].includes(does)) return { needs: [...needs, "session"], may: [] }
    if (does === "redrive" || (does === "cancel" && message !== undefined))
      return { needs: [...needs, "message"], may: [] }
    return { needs: [...needs, "task"], may: [] }
  }),
)

const Expectation = Schema.Struct({
  message: some(MessageId),
  session: some(SessionId),
  task: some(SeriesId),
  state: some(Message.fields.state),
  tries: some(Schema.Int),
  attempts: some(Schema.Int),
  live: some(Schema.Boolean),
  livesAtMost: some(Schema.Int),
  livesAtLeast: some(Schema.Int),
  status: some(Schema.String),
  runsAtLeast: some(Schema.Int),
}).check(
  fieldsOf((entry) => {
    if (entry.message !== undefined) return { needs: ["message"], may: ["state", "tries", "attempts"] }
    if (entry.session !== undefined)
      return { needs: ["session"], may: ["live", "livesAtMost", "livesAtLeast"] }
    if (entry.task !== undefined) return { needs: ["task"], may: ["status", "runsAtLeast"] }
    return "it names a message, a session or a task"
  }),
)
export type Expectation = typeof Expectation.Type

const OUTAGES = ["engine-down", "image-gone", "channel-down", "disk-full", "daemon-down"] as const

export const Scenario = Schema.Struct({
  name: Schema.String.check(Schema.isBetweenLength(1, 200)),
  about: some(Schema.String),
  /** The instant at which it begins. */
  start: some(
    textThat((text) => {
      const at = Date.parse(text)
      const isInTime = at >= 0 && at <= MAX_EPOCH_MS - MAX_SCENARIO_MS
      return isInTime ? undefined : "an instant, such as 2027-03-27T20:00:00Z"
    }),
  ),
  lasts: Time,
  zone: some(
    textThat((text) => {
      const zone = parseZone(text)
      return Result.isSuccess(zone) ? undefined : describeProblem(text, zone.failure)
    }),
  ),
  policy: some(Schema.Record(Schema.String, Schema.Unknown)),
  sessions: Schema.Array(
    Schema.Struct({
      id: SessionId,
      group: some(GroupId),
      /** One behaviour for every life, or a list with one for each, the last of them for all that follow. */
      agent: Schema.NonEmptyArray(AgentBehaviour),
    }),
  ).check(Schema.isBetweenLength(1, 100)),
  sends: some(
    atMost(
      Schema.Struct({
        at: Time,
        to: SessionId,
        id: MessageId,
        due: some(Time),
        ttl: some(Time),
        /** Sent again and again, as `<id>-1`, `<id>-2`, …. */
        every: some(Time),
        times: some(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: MAX_ENTRIES }))),
      }),
    ),
  ),
  tasks: some(
    atMost(
      Schema.Struct({
        at: some(Time),
        in: SessionId,
        id: SeriesId,
        schedule: Schema.String,
        ttl: some(Time),
        overlap: some(OverlapPolicy),
        catchUp: some(CatchUpPolicy),
      }),
    ),
  ),
  outages: some(atMost(Schema.Struct({ at: Time, lasts: Time, what: Schema.Literals(OUTAGES) }))),
  operators: some(atMost(Operator)),
  /** What shall hold at the end; the command fails when it does not. */
  expect: some(atMost(Expectation)),
})
export type Scenario = typeof Scenario.Type

/** A scenario that was read, with its policy as the domain knows it. */
export interface ReadScenario extends Omit<Scenario, "policy"> {
  readonly policy: PolicyOverride
}

/** What is wrong with a scenario, and where. Line and column count from 1; null: the file as a whole. */
export interface ScenarioMistake {
  readonly line: number | null
  readonly column: number | null
  /** Where in the document: `sessions[0].agent`. */
  readonly path: string
  readonly message: string
}

export const describeMistake = (file: string, mistake: ScenarioMistake): string => {
  const place = mistake.line === null ? file : `${file}:${mistake.line}:${mistake.column ?? 1}`
  return `${place}: ${mistake.path === "" ? "" : `${mistake.path}: `}${mistake.message}`
}

type Path = ReadonlyArray<PropertyKey>
type At = (path: Path, message: string) => ScenarioMistake
type Mistakes = readonly [ScenarioMistake, ...Array<ScenarioMistake>]

/** Reads a scenario, or says everything that is wrong with it. */
export const readScenario = (text: string): Result.Result<ReadScenario, Mistakes> => {
  const unplaced = { line: null, column: null }
  if (text.length > MAX_BYTES)
    return Result.fail([{ ...unplaced, path: "", message: `it is larger than ${MAX_BYTES} bytes` }])
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const placed = (offset: number | undefined, path: Path, message: string): ScenarioMistake => {
    if (offset === undefined) return { ...unplaced, path: pathText(path), message }
    const { col, line } = lines.linePos(offset)
    return { line, column: col, path: pathText(path), message }
  }
  /** The place of the longest part of the path that is there. */
  const at = (asked: Path, message: string): ScenarioMistake => {
    const single = asked[2] === "agent" && asked[3] === 0 && !isSeq(document.getIn(asked.slice(0, 3), true))
    const path = single ? [...asked.slice(0, 3), ...asked.slice(4)] : asked
    for (let length = path.length; length >= 0; length--) {
      const node = document.getIn(path.slice(0, length), true) as
        | { range?: [number, number, number] }
        | undefined
      if (node?.range !== undefined) return placed(node.range[0], path, message)
    }
    return placed(undefined, path, message)
  }
  const [unreadable, ...others] = document.errors.map((error) =>
    placed(error.pos[0], [], error.message.replace(/ at line \d+, column \d+:[^]*$/, "")),
  )
  if (unreadable !== undefined) return Result.fail([unreadable, ...others])
  const value = agentsAsLists(document.toJS({ maxAliasCount: 100 }))
  const decoded = Schema.decodeUnknownResult(Scenario, { errors: "all", onExcessProperty: "error" })(value)
  if (Result.isFailure(decoded)) return Result.fail(mistakesOf(decoded.failure.issue, at))
  const scenario = decoded.success
  const policy = readPolicy(scenario.policy ?? {}, at)
  if (Result.isFailure(policy)) return Result.fail(policy.failure)
  const [first, ...rest] = unknownNames(scenario, at)
  return first === undefined
    ? Result.succeed({ ...scenario, policy: policy.success })
    : Result.fail([first, ...rest])
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** One behaviour may stand without its brackets. */
const agentsAsLists = (value: unknown): unknown =>
  isObject(value) && Array.isArray(value["sessions"])
    ? {
        ...value,
        sessions: value["sessions"].map((session: unknown) =>
          isObject(session) && isObject(session["agent"])
            ? { ...session, agent: [session["agent"]] }
            : session,
        ),
      }
    : value

/** How often an entry of `sends` is sent before the scenario is over. */
export const repeatsOf = (
  scenario: Pick<Scenario, "lasts">,
  planned: NonNullable<Scenario["sends"]>[number],
): number => {
  const every = msOf(planned.every)
  if (every === 0) return 1
  const room = Math.ceil((msOf(scenario.lasts) - msOf(planned.at)) / every)
  return Math.max(0, Math.min(planned.times ?? Infinity, room))
}

const mistakesOf = (issue: SchemaIssue.Issue, at: At, within: Path = []): Mistakes => {
  const [first, ...rest] = formatIssue(issue).issues.map((one) => {
    const path = (one.path ?? []).map((key) => (typeof key === "object" ? key.key : key))
    return at([...within, ...path], one.message)
  })
  return first === undefined ? [at(within, "it is not a scenario")] : [first, ...rest]
}

/** Policy fields as the configuration names them, lengths of time as people write them. */
const readPolicy = (
  given: Readonly<Record<string, unknown>>,
  at: At,
): Result.Result<PolicyOverride, Mistakes> => {
  const inMs: Record<string, unknown> = {}
  const unclear: Array<ScenarioMistake> = []
  for (const [key, value] of Object.entries(given)) {
    const ms = key.endsWith("Ms") && typeof value === "string" ? parseDuration(value) : Result.succeed(value)
    if (Result.isSuccess(ms)) inMs[key] = ms.success
    else unclear.push(at(["policy", key], `a length of time: ${describeProblem(String(value), ms.failure)}`))
  }
  const [first, ...rest] = unclear
  if (first !== undefined) return Result.fail([first, ...rest])
  return Result.mapError(
    Schema.decodeUnknownResult(PolicyOverride, { errors: "all", onExcessProperty: "error" })(inMs),
    (error) => mistakesOf(error.issue, at, ["policy"]),
  )
}

/** Sessions, tasks and messages that are named and never made. */
const unknownNames = (scenario: Scenario, at: At): ReadonlyArray<ScenarioMistake> => {
  const mistakes: Array<ScenarioMistake> = []
  const known = scenario.sessions.map(({ id }) => id)
  const tasks = (scenario.tasks ?? []).map(({ id }) => id)
  const needSession = (path: Path, id: SessionId | undefined): void => {
    if (id !== undefined && !known.includes(id))
      mistakes.push(at(path, `there is no session '${id}'; there are ${[...new Set(known)].join(", ")}`))
  }
  for (const [index, id] of known.entries())
    if (known.indexOf(id) < index)
      mistakes.push(at(["sessions", index, "id"], `session '${id}' is there already`))
  for (const [index, planned] of (scenario.sends ?? []).entries()) {
    needSession(["sends", index, "to"], planned.to)
    if (repeatsOf(scenario, planned) > MAX_REPEATS)
      mistakes.push(at(["sends", index, "every"], `it would be sent more than ${MAX_REPEATS} times`))
  }
  for (const [index, task] of (scenario.tasks ?? []).entries()) needSession(["tasks", index, "in"], task.in)
  for (const list of ["operators", "expect"] as const) {
    for (const [index, { session, task }] of (scenario[list] ?? []).entries()) {
      needSession([list, index, "session"], session)
      if (task !== undefined && !tasks.includes(task))
        mistakes.push(at([list, index, "task"], `there is no task '${task}'`))
    }
  }
  return mistakes
}
