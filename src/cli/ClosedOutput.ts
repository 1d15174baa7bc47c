/**
 * What happens when nobody reads the output any more: `lamplighter events | head` ends quietly, because its reader has seen enough; a
 * daemon whose terminal went away goes on, because its work is elsewhere.
 */
let whenClosed: "end" | "go-on" = "end"

const watch = (stream: NodeJS.WriteStream): void => {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error
    if (whenClosed === "end") process.exit(0)
  })
}

/** Once, at the program's start. */
export const watchOutput = (): void => {
  watch(process.stdout)
  watch(process.stderr)
}

/** For the daemon. */
export const goOnWithoutReader = (): void => {
  whenClosed = "go-on"
}
