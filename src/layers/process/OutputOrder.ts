/**
 * In which order a child wrote its two output files. The files don't say, so whoever follows them notes at each look how far each
 * had grown. What is older than the first note comes stdout first.
 */
import type { OutputName } from "../runtime/OutputTail.ts"

type Lengths = Readonly<Record<OutputName, number>>

/** Beyond, the oldest are forgotten: what they told apart comes stdout first. */
const MAX_NOTES = 4_096

export type OutputOrder = ReturnType<typeof makeOutputOrder>

export const makeOutputOrder = () => {
  /** Lengths since the first look, across cuts. */
  const notes: Array<Lengths & { readonly first: OutputName }> = []
  const cutOff = { stdout: 0, stderr: 0 }
  const whole = (sizes: Lengths): Lengths => ({
    stdout: cutOff.stdout + sizes.stdout,
    stderr: cutOff.stderr + sizes.stderr,
  })
  return {
    /** How long the files are now, and which of them was written to first since the last note. */
    note: (sizes: Lengths, first: OutputName): void => {
      const now = whole(sizes)
      const last = notes.at(-1)
      if (now.stdout === (last?.stdout ?? 0) && now.stderr === (last?.stderr ?? 0)) return
      notes.push({ ...now, first })
      if (notes.length > MAX_NOTES) notes.shift()
    },
    /** A file was cut to nothing when it had this size. */
    cut: (name: OutputName, size: number): void => {
      cutOff[name] += size
    },
    /** Feeds the tails of the files, whose sizes are `sizes` now, in the order in which they were written. */
    replay: (
      tails: Readonly<Record<OutputName, Buffer>>,
      sizes: Lengths,
      feed: (name: OutputName, bytes: Buffer) => void,
    ): void => {
      const now = whole(sizes)
      const left = { ...tails }
      const at = { stdout: now.stdout - tails.stdout.length, stderr: now.stderr - tails.stderr.length }
      for (const note of [...notes, { ...now, first: "stdout" as const }])
        for (const name of note.first === "stdout"
          ? (["stdout", "stderr"] as const)
          : (["stderr", "stdout"] as const)) {
          const length = Math.max(0, note[name] - at[name])
          feed(name, left[name].subarray(0, length))
          left[name] = left[name].subarray(length)
          at[name] += length
        }
    },
  }
}
