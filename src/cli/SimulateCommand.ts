/** `simulate`: plays a scenario without a daemon, prints what happened and draws it. */
import { Filled, pathTo } from "./Flags.ts"
import { Console, Effect, Option, Result } from "effect"
import { Argument, Command } from "effect/cli"
import * as fs from "node:fs"
import * as path from "node:path"
import { describeMistake, readScenario } from "../testing/Scenario.ts"
import { drawScenario } from "../testing/ScenarioPicture.ts"
import { runScenario } from "../testing/ScenarioRun.ts"
import { tabulateScenario } from "../testing/ScenarioTable.ts"
import { CommandError, jsonFlag } from "./Root.ts"

const attempt = <A>(what: string, act: () => A): Effect.Effect<A, CommandError> =>
  Effect.try({
    try: act,
    catch: (cause) =>
      new CommandError({ message: `${what}: ${cause instanceof Error ? cause.message : String(cause)}` }),
  })

/** `poison.yaml` is drawn as `poison.svg`, where the command runs. */
const pictureOf = (file: string): string => `${path.basename(file).replace(/\.ya?ml$/, "")}.svg`

export const simulateCommand = Command.make(
  "simulate",
  {
    file: Argument.String("scenario.yaml").pipe(Argument.withSchema(Filled)),
    picture: pathTo(
      "picture",
      "Where to write the picture (SVG); default: the scenario's name, in this folder",
    ),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const text = yield* attempt(`${input.file} can't be read`, () => fs.readFileSync(input.file, "utf8"))
      const scenario = readScenario(text)
      if (Result.isFailure(scenario)) {
        const mistakes = scenario.failure.map((mistake) => describeMistake(input.file, mistake))
        return yield* new CommandError({ message: mistakes.join("; ") })
      }
      const report = yield* attempt(`${input.file} can't be played`, () => runScenario(scenario.success))
      const picture = Option.getOrElse(input.picture, () => pictureOf(input.file))
      yield* attempt(`the picture ${picture} can't be written`, () =>
        fs.writeFileSync(picture, drawScenario(report)),
      )
      if (input.json) {
        const { disappointments, events, lanes, messages } = report
        yield* Console.log(JSON.stringify({ picture, messages, events, lanes, disappointments }, null, 2))
      } else {
        for (const line of tabulateScenario(report)) yield* Console.log(line)
        yield* Console.log(`\nthe picture is in ${picture}`)
      }
      if (report.disappointments.length > 0) {
        return yield* new CommandError({
          message: `${report.disappointments.length === 1 ? "one thing was" : `${report.disappointments.length} things were`} not as the scenario expects`,
        })
      }
    }),
)
