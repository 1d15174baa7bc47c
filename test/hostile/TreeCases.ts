/** The pages of a table do not form the tree that SQLite takes for granted. */
import { PAGE_BYTES } from "../../src/layers/exchange/ExchangeSchema.ts"
import { type HostileCase, hostile } from "./HostileCase.ts"
import { execute, interiorPage, pageAt, reshape, rootOf, row, rows } from "./OutboundFile.ts"

/** Replaces the root of messages_out; further pages are appended. */
const tree =
  (
    build: (
      root: number,
      pages: number,
      leaf: Buffer,
    ) => { readonly root: Buffer; readonly more: ReadonlyArray<Buffer> },
  ) =>
  ({ outbound }: { readonly outbound: string }) => {
    const root = rootOf(outbound, "messages_out")
    reshape(outbound, (image) => {
      const pages = image.length / PAGE_BYTES
      const built = build(root, pages, Buffer.from(pageAt(image, root)))
      built.root.copy(image, (root - 1) * PAGE_BYTES)
      const grown = Buffer.concat([image, ...built.more])
      grown.writeUInt32BE(grown.length / PAGE_BYTES, 28)
      return grown
    })
  }

const onRoot =
  (change: (page: Buffer) => void) =>
  ({ outbound }: { readonly outbound: string }) => {
    const root = rootOf(outbound, "messages_out")
    reshape(outbound, (image) => change(pageAt(image, root)))
  }

/** A cell of a leaf: payload length, rowid, then whatever. */
const cell = (...bytes: ReadonlyArray<number>) =>
  onRoot((page) => {
    const at = page.readUInt16BE(8)
    for (const [index, byte] of bytes.entries()) page[at + index] = byte
  })

const HUGE = [0xff, 0xff, 0xff, 0xff, 0x7f] as const

export const treeCases: ReadonlyArray<HostileCase> = [
  hostile(
    "a tree of thirty levels whose two children are one page",
    "set aside",
    tree((_, pages, leaf) => ({
      root: interiorPage(pages + 1, pages + 1),
      more: [
        ...Array.from({ length: 29 }, (_, level) => interiorPage(pages + 2 + level, pages + 2 + level)),
        leaf,
      ],
    })),
  ),
  hostile(
    "a page that is its own child",
    "set aside",
    tree((root) => ({ root: interiorPage(root, root), more: [] })),
  ),
  hostile(
    "a child outside of the file",
    "set aside",
    tree(() => ({ root: interiorPage(4_000_000_000, 3), more: [] })),
  ),
  hostile(
    "a chain of a thousand interior pages",
    "set aside",
    tree((_, pages, leaf) => ({
      root: interiorPage(pages + 1, pages + 1),
      more: [...Array.from({ length: 999 }, (_, n) => interiorPage(pages + 2 + n, pages + 2 + n)), leaf],
    })),
  ),
  hostile(
    "a leaf of 65 535 cells",
    "set aside",
    onRoot((page) => void page.writeUInt16BE(0xffff, 3)),
  ),
  hostile(
    "a page of a type that does not exist",
    "set aside",
    onRoot((page) => void page.writeUInt8(0x42, 0)),
  ),
  hostile(
    "an index page where a table's belongs",
    "set aside",
    onRoot((page) => void page.writeUInt8(0x0a, 0)),
  ),
  hostile("a row that says it is 4 GB long", "set aside", cell(...HUGE, 1)),
  hostile(
    "a cell pointer into the header",
    "set aside",
    onRoot((page) => void page.writeUInt16BE(3, 8)),
  ),
  hostile(
    "a cell pointer past the page",
    "set aside",
    onRoot((page) => void page.writeUInt16BE(4_095, 8)),
  ),
  hostile(
    "cells that overlap",
    ["read", "set aside"],
    onRoot((page) => void page.copy(page, 10, 8, 10)),
  ),
  hostile("rows that share their overflow pages", ["read", "set aside"], ({ outbound }) => {
    execute(outbound, rows(200, { content: `'{"a":"' || hex(zeroblob(20000)) || '"}'` }))
    const root = rootOf(outbound, "messages_out")
    reshape(outbound, (image) => {
      const pages = image.length / PAGE_BYTES
      let shared: number | undefined
      for (let page = 2; page <= pages; page++) {
        const bytes = pageAt(image, page)
        if (bytes[0] !== 0x0d || page === root) continue
        for (let index = 0; index < bytes.readUInt16BE(3); index++) {
          // Each cell of these keeps as much as fits locally, and ends with the number of its first overflow page.
          const at = bytes.readUInt16BE(8 + 2 * index)
          const end = index === 0 ? PAGE_BYTES : bytes.readUInt16BE(8 + 2 * (index - 1))
          if (end - at < 300) continue
          shared ??= bytes.readUInt32BE(end - 4)
          bytes.writeUInt32BE(shared, end - 4)
        }
      }
    })
  }),
  hostile("row numbers at the ends of what SQLite knows", ["read", "set aside"], ({ outbound }) =>
    execute(
      outbound,
      `INSERT INTO messages_out (rowid, id, timestamp, kind, content) VALUES (9223372036854775807, 'last', '', 'chat', '{}')`,
      `INSERT INTO messages_out (rowid, id, timestamp, kind, content) VALUES (-9223372036854775808, 'first', '', 'chat', '{}')`,
      row("'random'"),
    ),
  ),
  hostile("a free list that is a ring", ["read", "set aside"], ({ outbound }) =>
    reshape(outbound, (image) => {
      image.writeUInt32BE(2, 32)
      image.writeUInt32BE(0xffff_ffff, 36)
    }),
  ),
]
