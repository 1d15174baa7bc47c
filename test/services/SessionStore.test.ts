import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import { seriesContract } from "./Series.contract.ts"
import { sessionStoreContract } from "./SessionStore.contract.ts"

sessionStoreContract("in memory", MemoryLedger.layer)
sessionStoreContract("in SQLite", SqliteLedger.layerMemory)
seriesContract("in memory", MemoryLedger.layer)
seriesContract("in SQLite", SqliteLedger.layerMemory)
