/**
 * Any program as an agent: the prompt on stdin, the answer on stdout (CommandOutput.ts says what else may stand there), in a
 * process group of its own. Exit 0 is success. Exit 65 (EX_DATAERR) and 78 (EX_CONFIG) say that another try is pointless; every
 * other end may be tried again. It is the tool in flight for as long as it runs, and its output bytes are its progress.
 *
 * Environment: the runner's own, plus LAMPLIGHTER_MESSAGE_IDS (comma separated, oldest first) and LAMPLIGHTER_ATTEMPT (tries
 * that the first message has spent: 0 the first time).
 */
import { runProgram, type ProgramEnd, tail } from "../BoundedProcess.ts"
import { CommandOutput } from "./CommandOutput.ts"
import { type Prompt, type Provider, ProviderError, type TurnContext } from "./Provider.ts"

export interface CommandOptions {
  /** Program and arguments, not empty. */
  readonly command: ReadonlyArray<string>
  readonly workdir: string
  readonly timeoutMs: number | null
}

const FINAL_EXIT_CODES: ReadonlySet<number> = new Set([65, 78])
/** One environment variable may hold 128 KiB on Linux. */
const MAX_IDS_CHARS = 64 * 1024

export const command = (options: CommandOptions): Provider => ({
  name: "command",
  run: async (prompt, context) => {
    await context.onTool("command", options.timeoutMs)
    try {
      return { text: await execute(options, prompt, context) }
    } finally {
      await context.onToolEnd()
    }
  },
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
    timeoutMs: options.timeoutMs,
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
  refuseBadEnd(file, options.timeoutMs, end)
  const text = output.end()
  await posted
  return text
}

const MAX_TAIL_CHARS = 1_500

const refuseBadEnd = (file: string, timeoutMs: number | null, end: ProgramEnd): void => {
  switch (end.kind) {
    case "unstartable":
      throw new ProviderError(`the command '${file}' can't be started: ${end.why}`, "retryable")
    case "aborted":
      throw new ProviderError(`the command '${file}' was stopped`, "retryable")
    case "timeout":
      throw new ProviderError(
        `the command '${file}' did not end within ${timeoutMs} ms (providerTimeoutMs)${tail(end.stderr, MAX_TAIL_CHARS)}`,
        "retryable",
      )
    case "exited":
      if (end.code === 0) return
      throw new ProviderError(
        end.code === null
          ? `the command '${file}' was ended by ${end.signal}${tail(end.stderr, MAX_TAIL_CHARS)}`
          : `the command '${file}' exited with ${end.code}${tail(end.stderr, MAX_TAIL_CHARS)}`,
        end.code !== null && FINAL_EXIT_CODES.has(end.code) ? "final" : "retryable",
      )
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
