/**
 * Who owns what a container works on. A daemon with root makes its files as root; before the start they are given to the
 * container's user. Only what the host itself just made is touched, and no link is followed.
 */
import * as fs from "node:fs/promises"
import * as path from "node:path"

/** More than any fresh exchange pair holds, inbox files included. */
const MAX_ENTRIES = 100_000

const give = async (place: string, uid: number, gid: number, budget: { left: number }): Promise<void> => {
  if (budget.left-- <= 0) throw new Error(`more than ${MAX_ENTRIES} files at ${place}`)
  const stat = await fs.lstat(place)
  if (stat.uid !== uid || stat.gid !== gid) await fs.lchown(place, uid, gid)
  if (!stat.isDirectory()) return
  for (const name of await fs.readdir(place)) await give(path.join(place, name), uid, gid, budget)
}

/** A fresh pair as a whole; of the group's folder, which agents have written in, only the folder itself. */
export const giveTo = async (
  user: string,
  places: { readonly fresh: ReadonlyArray<string>; readonly shared: ReadonlyArray<string> },
): Promise<void> => {
  const [uid, gid] = user.split(":").map(Number)
  if (uid === undefined || gid === undefined) throw new Error(`not a user: ${user}`)
  const budget = { left: MAX_ENTRIES }
  for (const place of places.fresh) await give(place, uid, gid, budget)
  for (const place of places.shared) {
    const stat = await fs.lstat(place)
    if (stat.isDirectory() && stat.uid !== uid) await fs.lchown(place, uid, gid)
  }
}
