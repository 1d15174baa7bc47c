/** Every hostile session that we know, by class. */
import { fileCases } from "./FileCases.ts"
import type { HostileCase } from "./HostileCase.ts"
import { journalCases } from "./JournalCases.ts"
import { rowCases } from "./RowCases.ts"
import { schemaCases } from "./SchemaCases.ts"
import { siegeCases } from "./SiegeCases.ts"
import { treeCases } from "./TreeCases.ts"

export const corpus: Readonly<Record<string, ReadonlyArray<HostileCase>>> = {
  files: fileCases,
  schemas: schemaCases,
  trees: treeCases,
  rows: rowCases,
  journals: journalCases,
  sieges: siegeCases,
}
