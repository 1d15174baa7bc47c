/**
 * The runner's command line. It carries the labels, so that a process can be recognised from the process table alone, even if
 * the daemon died between its birth and its record.
 */
import { Option, Schema } from "effect"
import { ContainerLabels } from "../../services/ContainerRuntime.ts"

const FLAGS = ["--install", "--group", "--session", "--incarnation"] as const

/** `--install X --group G --session S --incarnation N`, in this order. */
export const agentArguments = (labels: ContainerLabels): ReadonlyArray<string> => [
  FLAGS[0],
  labels.install,
  FLAGS[1],
  labels.group,
  FLAGS[2],
  labels.session,
  FLAGS[3],
  String(labels.incarnation),
]

const decodeLabels = Schema.decodeUnknownOption(ContainerLabels)

/** The labels in somebody's command line, or `undefined` when it is not exactly of ours. */
export const labelsOf = (argv: ReadonlyArray<string>): ContainerLabels | undefined => {
  const at = argv.indexOf(FLAGS[0])
  if (at < 1 || FLAGS.some((flag, index) => argv[at + index * 2] !== flag)) return undefined
  const incarnation = argv[at + 7]
  if (incarnation === undefined || !/^[0-9]{1,10}$/.test(incarnation)) return undefined
  return Option.getOrUndefined(
    decodeLabels({
      install: argv[at + 1],
      group: argv[at + 3],
      session: argv[at + 5],
      incarnation: Number(incarnation),
    }),
  )
}
