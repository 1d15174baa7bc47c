/** One question about a host, answered: `failure` means that the daemon can't do its work, `warning` that somebody should know. */
export interface Check {
  readonly name: string
  readonly level: "ok" | "warning" | "failure"
  readonly message: string
  /** What would help; null when nothing is wrong. */
  readonly remedy: string | null
}

export const check = (
  name: string,
  level: Check["level"],
  message: string,
  remedy: string | null = null,
): Check => ({ name, level, message, remedy })
