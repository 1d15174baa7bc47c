/** Empties `dist`, so that a build never ships the output of a module that is gone. */
import { rmSync } from "node:fs"

rmSync(new URL("../dist", import.meta.url), { recursive: true, force: true })
