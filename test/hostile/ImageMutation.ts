/** Mutates an honest outbound.db as bytes: where SQLite's format says what is where, it hits that more often than by chance. */
import Database from "better-sqlite3"
import { PAGE_BYTES } from "../../src/layers/exchange/ExchangeSchema.ts"
import { honestImage, row, rows } from "./OutboundFile.ts"
import type { Random } from "./Random.ts"

const made = (...statements: ReadonlyArray<string>): Buffer => {
  const database = new Database(honestImage())
  try {
    for (const statement of statements) database.exec(statement)
    return database.serialize()
  } finally {
    database.close()
  }
}

/** Small; with interior pages; with overflow pages; with free pages; with an older runner's additions. */
const bases: ReadonlyArray<Buffer> = [
  made(),
  made(rows(300, { content: `'{"text":"' || hex(zeroblob(60)) || '"}'` })),
  made(row("'long'", `'{"text":"' || hex(zeroblob(9000)) || '"}'`)),
  made(rows(200, {}), "DELETE FROM messages_out WHERE id LIKE 'row-1%'"),
  made(
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)",
    "ALTER TABLE messages_out ADD COLUMN mood TEXT",
  ),
]

const NUMBERS = [0, 1, 2, 3, 0x0d, 0x05, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff] as const

type Edit = (image: Buffer, random: Random) => Buffer | void

const pageOf = (image: Buffer, random: Random): number =>
  random.below(Math.max(1, Math.floor(image.length / PAGE_BYTES))) * PAGE_BYTES

const write = (image: Buffer, at: number, bytes: number, value: number): void => {
  if (at + bytes > image.length) return
  image.writeUIntBE(value % 2 ** (8 * bytes), at, bytes)
}

const edits: ReadonlyArray<readonly [name: string, edit: Edit]> = [
  [
    "bit",
    (image, random) => {
      const at = random.below(image.length)
      image[at] = (image[at] ?? 0) ^ (1 << random.below(8))
    },
  ],
  ["byte", (image, random) => void write(image, random.below(image.length), 1, random.below(256))],
  [
    "run of bytes",
    (image, random) => void random.bytes(1 + random.below(64)).copy(image, random.below(image.length)),
  ],
  [
    "header",
    (image, random) => void write(image, random.below(100), random.pick([1, 2, 4]), random.pick(NUMBERS)),
  ],
  [
    "page header",
    (image, random) => {
      const page = pageOf(image, random)
      write(image, (page === 0 ? 100 : page) + random.below(12), random.pick([1, 2, 4]), random.pick(NUMBERS))
    },
  ],
  [
    "cell pointer",
    (image, random) => {
      const page = pageOf(image, random)
      write(image, (page === 0 ? 108 : page + 8) + 2 * random.below(20), 2, random.below(PAGE_BYTES + 100))
    },
  ],
  [
    "start of a cell",
    (image, random) => {
      const page = pageOf(image, random)
      const cell = image.readUInt16BE(page + (page === 0 ? 108 : 8) + 2 * random.below(4))
      random.bytes(1 + random.below(6)).copy(image, Math.min(page + cell, image.length - 1))
    },
  ],
  [
    "child or overflow page",
    (image, random) => {
      const pages = image.length / PAGE_BYTES
      write(image, pageOf(image, random) + random.below(PAGE_BYTES / 4) * 4, 4, random.below(pages + 3))
    },
  ],
  [
    "page over page",
    (image, random) => {
      const from = pageOf(image, random)
      image.copy(image, pageOf(image, random), from, from + PAGE_BYTES)
    },
  ],
  ["page of zeros", (image, random) => void image.fill(0, pageOf(image, random), PAGE_BYTES)],
  ["cut", (image, random) => image.subarray(0, random.below(image.length))],
  ["cut at a page", (image, random) => image.subarray(0, pageOf(image, random))],
  ["longer", (image, random) => Buffer.concat([image, random.bytes(random.pick([1, 511, PAGE_BYTES]))])],
  [
    "schema text",
    (image, random) => {
      const at = image.indexOf(
        random.pick(["CREATE", "TABLE", "TEXT", "PRIMARY", "KEY", "NOT NULL", "messages_out", "content"]),
      )
      if (at >= 0)
        image.write(
          random.pick(["VIEW", "AS (1)", "CHECK(", "--", "x", ");", "WITHOUT ROWID", "\0"]),
          at + random.below(8),
        )
    },
  ],
  [
    "a piece moved",
    (image, random) => {
      const from = random.below(image.length)
      image.copy(image, random.below(image.length), from, from + random.below(512))
    },
  ],
]

const JOURNAL_MAGIC = Buffer.from("d9d505f920a163d7", "hex")

/** A journal with a valid beginning, and then as it comes. */
const journalOf = (random: Random, image: Buffer): Buffer => {
  const header = Buffer.alloc(512)
  JOURNAL_MAGIC.copy(header)
  header.writeUInt32BE(random.pick([0, 1, 2, 0xffff_ffff]), 8)
  header.writeUInt32BE(random.below(0xffff_ffff), 12)
  header.writeUInt32BE(random.pick([image.length / PAGE_BYTES, 1, 0, 0xffff_ffff]), 16)
  header.writeUInt32BE(random.pick([512, 4_096, 0, 1, 0x8000_0000]), 20)
  header.writeUInt32BE(random.pick([PAGE_BYTES, 512, 0, 0xffff_ffff]), 24)
  const record = Buffer.alloc(PAGE_BYTES + 8)
  record.writeUInt32BE(1 + random.below(12), 0)
  random.bytes(64).copy(record, 4 + random.below(PAGE_BYTES - 64))
  return Buffer.concat([header, record, random.once(3) ? JOURNAL_MAGIC : Buffer.alloc(0)])
}

export interface ImageMutation {
  readonly how: string
  readonly image: Buffer
  /** Stands beside it, when there is one. */
  readonly journal: Buffer | null
}

export const mutateImage = (random: Random): ImageMutation => {
  let image = Buffer.from(random.pick(bases))
  const names: Array<string> = []
  const count = random.pick([1, 1, 1, 2, 4, 16])
  for (let n = 0; n < count && image.length > PAGE_BYTES; n++) {
    const [name, edit] = random.pick(edits)
    names.push(name)
    image = Buffer.from(edit(image, random) ?? image)
  }
  const journal = random.once(12) ? journalOf(random, image) : null
  return { how: [...names, ...(journal === null ? [] : ["journal"])].join(", "), image, journal }
}
