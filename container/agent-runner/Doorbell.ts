/** The doorbell: a line on stdout that makes the host look at outbound.db at once. It carries nothing, and may be lost. */

const DOORBELL_LINE = "::lamplighter::doorbell"

export const ring = (): void => {
  process.stdout.write(`${DOORBELL_LINE}\n`)
}
