/** A build context of one file, as the uncompressed archive (ustar) that an engine reads. */

const BLOCK_BYTES = 512
const MODE = 0o644

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`

/** `name`: plain ASCII, at most 100 characters. */
export const singleFileArchive = (name: string, text: string): Buffer => {
  const content = Buffer.from(text, "utf8")
  const header = Buffer.alloc(BLOCK_BYTES)
  const field = (offset: number, value: string): number => header.write(value, offset, "latin1")
  field(0, name)
  field(100, octal(MODE, 8))
  field(108, octal(0, 8))
  field(116, octal(0, 8))
  field(124, octal(content.length, 12))
  // No time: the same text gives the same bytes.
  field(136, octal(0, 12))
  field(148, " ".repeat(8))
  field(156, "0")
  field(257, "ustar\x0000")
  const sum = header.reduce((total, byte) => total + byte, 0)
  field(148, `${sum.toString(8).padStart(6, "0")}\0 `)
  const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES)
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * BLOCK_BYTES)])
}
