/** Writes the tables of docs/configuration.md from the declared settings. A test compares the page with what this would write. */
import { readFileSync, writeFileSync } from "node:fs"
import { environmentName, keyOf, type Setting } from "../src/layers/configuration/Setting.ts"
import { channelSettings, sections } from "../src/layers/configuration/SettingsCatalogue.ts"

const HEAD =
  "| Key | Environment | Default | Unit | Accepts | Meaning |\n| --- | --- | --- | --- | --- | --- |\n"

const rowOf = (setting: Setting<unknown>): string =>
  `| ${[
    `\`${keyOf(setting)}\``,
    `\`${environmentName(setting.path)}\``,
    setting.fallbackText === "" ? "required" : setting.fallbackText,
    setting.unit === "" ? "–" : setting.unit,
    setting.expected,
    setting.meaning,
  ].join(" | ")} |\n`

/** The page with its tables of settings written anew, in their order; everything else stays. */
export const configurationPage = (page: string): string => {
  const tables = [...sections, Object.values(channelSettings("NAME"))]
  return page.replaceAll(
    /^\| Key +\| Environment +\| Default +\| Unit .*\n(?:\|.*\n)*/gm,
    () => HEAD + (tables.shift() ?? []).map(rowOf).join(""),
  )
}

if (import.meta.main) {
  const page = new URL("../docs/configuration.md", import.meta.url)
  writeFileSync(page, configurationPage(readFileSync(page, "utf8")))
}
