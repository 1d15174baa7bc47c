/**
 * Any program as an agent: the prompt on stdin, the answer on stdout (CommandOutput.ts says what else may stand there), in a
 * process group of its own. Exit 0 is success. Exit 65 (EX_DATAERR) and 78 (EX_CONFIG) say that another try is pointless; every
 * other end may be tried again. It is the tool in flight for as long as it runs, and its output bytes are its progress.
 *
 * Environment: the runner's own, plus LAMPLIGHTER_MESSAGE_IDS (comma separated, oldest first) and LAMPLIGHTER_ATTEMPT (tries
 * that the first message has spent: 0 the first time).
 */
import { runProgram, type ProgramEnd, tail } from "../BoundedProcess.ts"
import type { Configuration } from "../Configuration.ts"
import { CommandOutput } from "./CommandOutput.ts"
import { asTool, type Prompt, type Provider, ProviderError, type TurnContext } from "./Provider.ts"

/** `command` is not empty. */
type CommandOptions = Pick<Configuration, "command" | "providerTimeoutMs" | "workdir">

const FINAL_EXIT_CODES: ReadonlySet<number> = new Set([65, 78])
/** One environment variable may hold 128 KiB on Linux. */
const MAX_IDS_CHARS = 64 * 1024

export const command = (options: CommandOptions): Provider => ({
  name: "command",
  run: async (prompt, context) => ({
    text: await asTool(context, "command", options.providerTimeoutMs, () =>
      execute(options, prompt, context),
    ),
  }),
})

const execute = async (options: CommandOptions, prompt: Prompt, context: TurnContext): Promise<string> => {
  const [file = "", ...rest] = options.command
  const cutOff = new AbortController()
  let trouble: { readonly error: unknown } | undefined
  const fail = (error: unknown): void => {
    trouble ??= { error }
    cutOff.abort()
  }
  let posted: Promise<void> = Promise.resolve()
  const output = new CommandOutput((draft) => {
    posted = posted.then(() => context.post(draft))
    posted.catch(fail)
  })
  const end = await runProgram({
    file,
    arguments: rest,
    workdir: options.workdir,
    environment: {
      ...process.env,
      LAMPLIGHTER_MESSAGE_IDS: idList(prompt.messages.map((message) => message.id)),
      LAMPLIGHTER_ATTEMPT: String(prompt.attempt),
    },
    input: prompt.text,
    sideInput: null,
    timeoutMs: options.providerTimeoutMs,
    signal: AbortSignal.any([context.signal, cutOff.signal]),
    onStdout: (text) => {
      if (trouble !== undefined) return
      try {
        output.push(text)
      } catch (error) {
        fail(error)
      }
    },
    onProgress: context.beat,
  })
  await posted.catch(fail)
  if (trouble !== undefined) throw trouble.error
  refuseBadEnd(file, options.providerTimeoutMs, end)
  const text = output.end()
  await posted
  return text
}

const MAX_TAIL_CHARS = 1_500

const refuseBadEnd = (file: string, timeoutMs: number | null, end: ProgramEnd): void => {
  if (end.kind === "exited" && end.code === 0) return
  const said = "stderr" in end ? tail(end.stderr, MAX_TAIL_CHARS) : ""
  throw new ProviderError(
    `the command '${file}' ${howItEnded(end, timeoutMs)}${said}`,
    end.kind === "exited" && end.code !== null && FINAL_EXIT_CODES.has(end.code) ? "final" : "retryable",
  )
}

const howItEnded = (end: ProgramEnd, timeoutMs: number | null): string => {
  switch (end.kind) {
    case "unstartable":
      return `can't be started: ${end.why}`
    case "aborted":
      return "was stopped"
    case "timeout":
      return `did not end within ${timeoutMs} ms (providerTimeoutMs)`
    case "exited":
      return end.code === null ? `was ended by ${end.signal}` : `exited with ${end.code}`
  }
}

const idList = (ids: ReadonlyArray<string>): string => {
  let list = ""
  for (const id of ids) {
    const longer = list === "" ? id : `${list},${id}`
    if (longer.length > MAX_IDS_CHARS) break
    list = longer
  }
  return list
}
