import * as MemoryLedger from "../../src/layers/memory/MemoryLedger.ts"
import * as SqliteLedger from "../../src/layers/sqlite/SqliteLedger.ts"
import { layerRunTwice } from "../../src/testing/RunTwice.ts"
import { seriesContract } from "./Series.contract.ts"
import { sessionStoreContract } from "./SessionStore.contract.ts"

sessionStoreContract("in memory, each body run twice", layerRunTwice(MemoryLedger.layer))
sessionStoreContract("in SQLite", SqliteLedger.layerMemory)
seriesContract("in memory, each body run twice", layerRunTwice(MemoryLedger.layer))
seriesContract("in SQLite", SqliteLedger.layerMemory)
