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
import { attempt, jsonFlag, refusal } from "./Root.ts"

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
  Effect.fnUntraced(function* ({ file, json, ...said }) {
    const text = yield* attempt(`${file} can't be read`, () => fs.readFileSync(file, "utf8"))
    const scenario = readScenario(text)
    if (Result.isFailure(scenario)) {
      const mistakes = scenario.failure.map((mistake) => describeMistake(file, mistake))
      return yield* refusal(mistakes.join("; "))
    }
    const report = yield* attempt(`${file} can't be played`, () => runScenario(scenario.success))
    const picture = Option.getOrElse(said.picture, () => pictureOf(file))
    yield* attempt(`the picture ${picture} can't be written`, () =>
      fs.writeFileSync(picture, drawScenario(report)),
    )
    const { disappointments, events, lanes, messages } = report
    if (json) {
      yield* Console.log(JSON.stringify({ picture, messages, events, lanes, disappointments }, null, 2))
    } else {
      for (const line of tabulateScenario(report)) yield* Console.log(line)
      yield* Console.log(`\nthe picture is in ${picture}`)
    }
    const { length } = disappointments
    if (length === 0) return
    const were = length === 1 ? "one thing was" : `${length} things were`
    return yield* refusal(`${were} not as the scenario expects`)
  }),
)
