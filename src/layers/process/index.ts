/** The process runtime as consumers import it: agents as child processes of the host, without isolation. */
export * as ProcessRuntime from "./ProcessRuntime.ts"
