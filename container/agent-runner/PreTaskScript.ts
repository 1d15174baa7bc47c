/**
 * The script of a task, run before its turn: bash decides whether the agent needs to wake at all. The last line of its stdout is
 * `{"wakeAgent": boolean, "data"?: any, "reason"?: text}`. No script can fail a task: what goes wrong skips the occurrence,
 * and is recorded as its error.
 */
import { runProgram, tail } from "./BoundedProcess.ts"
import type { Ending } from "./Claims.ts"
import { parseJson } from "./JsonText.ts"
import { asTool, type TurnContext } from "./providers/Provider.ts"

const SCRIPT_TIMEOUT_MS = 30_000
const MAX_TAIL_CHARS = 1_000
const MAX_OUTPUT_CHARS = 1024 * 1024

export type ScriptVerdict =
  | { readonly kind: "wake"; readonly data: unknown }
  | Extract<Ending, { readonly kind: "skipped" }>
  | { readonly kind: "aborted" }

/** The script is the tool in flight. */
export const runScript = (script: string, workdir: string, context: TurnContext): Promise<ScriptVerdict> =>
  asTool(context, "script", SCRIPT_TIMEOUT_MS, () => execute(script, workdir, context))

const execute = async (script: string, workdir: string, context: TurnContext): Promise<ScriptVerdict> => {
  const cutOff = new AbortController()
  let stdout = ""
  const end = await runProgram({
    file: "bash",
    // On a descriptor of its own, because an argument can't be as long as a script, and stdin belongs to the script.
    arguments: ["-c", 'eval "$(cat <&3)" 3<&-'],
    workdir,
    environment: process.env,
    input: "",
    sideInput: script,
    timeoutMs: SCRIPT_TIMEOUT_MS,
    signal: AbortSignal.any([context.signal, cutOff.signal]),
    onStdout: (text) => {
      stdout += text
      if (stdout.length > MAX_OUTPUT_CHARS) cutOff.abort()
    },
    onProgress: context.beat,
  })
  switch (end.kind) {
    case "aborted":
      return cutOff.signal.aborted ? fault("the script wrote more than 1 MB") : { kind: "aborted" }
    case "unstartable":
      return fault(`the script can't be started: ${end.why}`)
    case "timeout":
      return fault(`the script did not end within ${SCRIPT_TIMEOUT_MS} ms${tail(end.stderr, MAX_TAIL_CHARS)}`)
    case "exited":
      return end.code === 0
        ? verdictOf(stdout)
        : fault(`the script ended with ${end.code ?? end.signal}${tail(end.stderr, MAX_TAIL_CHARS)}`)
  }
}

const verdictOf = (stdout: string): ScriptVerdict => {
  const last = stdout.trimEnd().split("\n").at(-1) ?? ""
  const expected = 'the last line of its output must be JSON like {"wakeAgent": true}'
  let parsed: unknown
  try {
    parsed = parseJson(last)
  } catch {
    return fault(`${expected}, not '${last.slice(0, 200)}'`)
  }
  if (typeof parsed !== "object" || parsed === null) return fault(`${expected}, not '${last.slice(0, 200)}'`)
  const { wakeAgent, data, reason } = parsed as Readonly<Record<string, unknown>>
  if (typeof wakeAgent !== "boolean") return fault(`${expected}: 'wakeAgent' is missing or no boolean`)
  if (wakeAgent) return { kind: "wake", data }
  return { kind: "skipped", result: typeof reason === "string" ? reason : "its script said no", error: null }
}

const fault = (error: string): ScriptVerdict => ({ kind: "skipped", result: null, error })
