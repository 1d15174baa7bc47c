/**
 * `container_state`: the tool in flight and the timeout it declares, so that the host does not take a long silent tool for a
 * hang. Set before the tool starts; NULL again after success and failure alike.
 */
import type { DatabaseSync } from "node:sqlite"
import { formatInstant } from "./ExchangeTime.ts"

export const setTool = (
  database: DatabaseSync,
  tool: { readonly name: string; readonly timeoutMs: number | null } | null,
  atMs: number,
): void => {
  const at = formatInstant(atMs)
  database
    .prepare(
      `INSERT INTO container_state (id, current_tool, tool_declared_timeout_ms, tool_started_at, updated_at)
       VALUES (1, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET current_tool = excluded.current_tool, updated_at = excluded.updated_at,
         tool_declared_timeout_ms = excluded.tool_declared_timeout_ms, tool_started_at = excluded.tool_started_at`,
    )
    .run(tool?.name ?? null, tool?.timeoutMs ?? null, tool === null ? null : at, at)
}
