/**
 * The ledger's tables and how they came to be. Migrations are appended and never edited: a file knows by `PRAGMA user_version`
 * how many of them it has had. Indexes are partial where a question is about few rows (what is pending, what is live), so
 * that history costs nothing to those who ask what is next. "Not null" is written `>= 0` or `>= ''` in them: for the words
 * themselves SQLite looks at bound values while it plans, and would plan again whenever they change.
 */
import type { Database } from "better-sqlite3"
import { LedgerError } from "../../services/LedgerDriver.ts"

const FIRST = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  assistant_name TEXT NOT NULL,
  provider TEXT NOT NULL,
  zone TEXT,
  policy TEXT NOT NULL,
  destinations TEXT NOT NULL,
  admins TEXT NOT NULL,
  image_tag TEXT,
  runner_reoffers INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  group_id TEXT NOT NULL,
  key TEXT NOT NULL,
  origin TEXT NOT NULL,
  channel_type TEXT,
  platform_id TEXT,
  thread_id TEXT,
  status TEXT NOT NULL,
  status_reason TEXT,
  incarnation INTEGER NOT NULL,
  live INTEGER NOT NULL,
  host_seq INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  queued INTEGER NOT NULL,
  wake_at INTEGER,
  wake_priority INTEGER NOT NULL,
  wake_failures INTEGER NOT NULL,
  wake_not_before INTEGER NOT NULL,
  wake_error TEXT,
  expires_at INTEGER,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_by_key ON sessions (group_id, key);
CREATE INDEX sessions_by_group ON sessions (group_id, id);
CREATE INDEX sessions_inactive ON sessions (status, id) WHERE status <> 'active';
CREATE INDEX sessions_to_wake ON sessions (live, wake_priority, wake_at, id) WHERE wake_at >= 0;
CREATE INDEX sessions_next_wake ON sessions (wake_at) WHERE wake_at >= 0;

CREATE TABLE session_state (session_id TEXT PRIMARY KEY, rows TEXT NOT NULL) STRICT;

CREATE TABLE messages (
  position INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  trigger INTEGER NOT NULL,
  on_wake INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  first_due_at INTEGER NOT NULL,
  expires_at INTEGER,
  content TEXT NOT NULL,
  channel_type TEXT,
  platform_id TEXT,
  thread_id TEXT,
  source_session_id TEXT,
  series_id TEXT,
  slot INTEGER,
  slot_origin TEXT,
  tries INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  admitted_in INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  suspect INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  woken_at INTEGER,
  claimed_at INTEGER,
  ended_at INTEGER,
  error TEXT,
  result TEXT,
  redrive_of TEXT
) STRICT;
CREATE INDEX messages_by_session ON messages (session_id, state) WHERE state <> 'pending';
CREATE INDEX messages_by_state ON messages (state);
CREATE INDEX messages_by_series ON messages (series_id, state) WHERE series_id >= '';
CREATE INDEX messages_pending ON messages (session_id, priority, due_at, seq)
  WHERE state = 'pending' AND trigger = 1 AND kind <> 'system';
CREATE INDEX messages_context ON messages (session_id)
  WHERE state = 'pending' AND (trigger = 0 OR kind = 'system');
CREATE INDEX messages_admitted ON messages (session_id, admitted_in, seq)
  WHERE admitted_in > 0 AND state IN ('pending', 'claimed');
CREATE INDEX messages_changed ON messages (session_id, admitted_in, revision, seq) WHERE admitted_in > 0;
CREATE INDEX messages_expiring ON messages (expires_at) WHERE state = 'pending' AND expires_at >= 0;
CREATE UNIQUE INDEX messages_by_slot ON messages (series_id, slot, slot_origin)
  WHERE series_id >= '' AND slot >= 0 AND slot_origin >= '';
CREATE INDEX messages_occurring ON messages (series_id, slot)
  WHERE series_id >= '' AND state IN ('pending', 'claimed');
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at >= 0;

CREATE TABLE attempts (
  message_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  session_id TEXT NOT NULL,
  incarnation INTEGER NOT NULL,
  claimed_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT,
  costs_try INTEGER,
  error TEXT,
  PRIMARY KEY (message_id, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX attempts_open ON attempts (message_id) WHERE ended_at IS NULL;
CREATE INDEX attempts_open_by_session ON attempts (session_id, claimed_at, message_id) WHERE ended_at IS NULL;

CREATE TABLE incarnations (
  session_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  group_id TEXT NOT NULL,
  phase TEXT NOT NULL,
  handle TEXT,
  boot_id TEXT NOT NULL,
  spawned_at INTEGER NOT NULL,
  started_at INTEGER,
  claimed INTEGER NOT NULL,
  active_at INTEGER NOT NULL,
  stop_reason TEXT,
  stop_requested_at INTEGER,
  ended_at INTEGER,
  reason TEXT,
  exit_code INTEGER,
  signal TEXT,
  oom_killed INTEGER NOT NULL,
  duration_ms INTEGER,
  log_file TEXT,
  error TEXT,
  PRIMARY KEY (session_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX incarnations_live ON incarnations (session_id, number) WHERE phase <> 'ended';
CREATE INDEX incarnations_live_by_group ON incarnations (group_id) WHERE phase <> 'ended';
CREATE INDEX incarnations_ended ON incarnations (ended_at) WHERE phase = 'ended' AND ended_at >= 0;

CREATE TABLE deliveries (
  id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  outbound_id TEXT,
  incarnation INTEGER NOT NULL,
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  seq INTEGER,
  in_reply_to TEXT,
  kind TEXT NOT NULL,
  channel_type TEXT,
  platform_id TEXT,
  thread_id TEXT,
  content TEXT NOT NULL,
  lane TEXT NOT NULL,
  status TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  next_attempt_at INTEGER,
  deliver_after INTEGER,
  last_error TEXT,
  platform_message_id TEXT,
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE INDEX deliveries_by_session ON deliveries (session_id, status);
CREATE INDEX deliveries_by_status ON deliveries (status);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at)
  WHERE status = 'pending' AND next_attempt_at >= 0;
CREATE INDEX deliveries_in_lane ON deliveries (lane) WHERE status = 'pending';
CREATE INDEX deliveries_in_channel ON deliveries (channel_type) WHERE status = 'pending';
CREATE INDEX deliveries_changed ON deliveries (session_id, revision)
  WHERE status <> 'pending' AND outbound_id >= '';
CREATE INDEX deliveries_by_seq ON deliveries (session_id, seq) WHERE seq >= 0;
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE status <> 'pending' AND ended_at >= 0;

CREATE TABLE series (
  id TEXT PRIMARY KEY,
  group_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  name TEXT,
  prompt TEXT NOT NULL,
  script TEXT,
  schedule TEXT NOT NULL,
  zone TEXT NOT NULL,
  overlap TEXT NOT NULL,
  catch_up TEXT NOT NULL,
  priority INTEGER NOT NULL,
  ttl_ms INTEGER,
  status TEXT NOT NULL,
  note TEXT,
  revision INTEGER NOT NULL,
  next_slot INTEGER,
  last_slot INTEGER,
  channel_type TEXT,
  platform_id TEXT,
  thread_id TEXT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX series_due ON series (next_slot, id) WHERE status = 'active' AND next_slot >= 0;
CREATE INDEX series_by_group ON series (group_id, id);
CREATE INDEX series_by_session ON series (session_id, id);
CREATE INDEX series_by_status ON series (status, id);

CREATE TABLE runs (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL,
  group_id TEXT NOT NULL,
  series_id TEXT,
  message_id TEXT,
  slot INTEGER,
  due_at INTEGER NOT NULL,
  woken_at INTEGER,
  claimed_at INTEGER,
  ended_at INTEGER NOT NULL,
  duration_ms INTEGER,
  attempts INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT,
  result TEXT,
  incarnation INTEGER NOT NULL,
  log_file TEXT,
  count INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_by_session ON runs (session_id, outcome);
CREATE INDEX runs_by_series ON runs (series_id, outcome) WHERE series_id >= '';
CREATE INDEX runs_by_outcome ON runs (outcome);
CREATE INDEX runs_ended ON runs (ended_at);

CREATE TABLE events (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  session_id TEXT,
  message_id TEXT,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_session ON events (session_id) WHERE session_id >= '';
`

/** Every message that is accepted asks how many deliveries wait for its channel: a count that is kept answers at once, however many do. */
const PENDING_COUNTED = `
CREATE TABLE pending_deliveries (channel_type TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO pending_deliveries
  SELECT channel_type, count(*) FROM deliveries WHERE status = 'pending' AND channel_type >= '' GROUP BY channel_type;
DROP INDEX deliveries_in_channel;
CREATE TRIGGER deliveries_inserted AFTER INSERT ON deliveries
  WHEN new.status = 'pending' AND new.channel_type >= ''
BEGIN
  INSERT INTO pending_deliveries VALUES (new.channel_type, 1) ON CONFLICT (channel_type) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER deliveries_updated AFTER UPDATE OF status, channel_type ON deliveries
  WHEN old.status <> new.status OR old.channel_type IS NOT new.channel_type
BEGIN
  INSERT INTO pending_deliveries SELECT new.channel_type, 1 WHERE new.status = 'pending' AND new.channel_type >= ''
    ON CONFLICT (channel_type) DO UPDATE SET count = count + 1;
  UPDATE pending_deliveries SET count = count - 1 WHERE old.status = 'pending' AND channel_type = old.channel_type;
  DELETE FROM pending_deliveries WHERE channel_type = old.channel_type AND count <= 0;
END;
CREATE TRIGGER deliveries_deleted AFTER DELETE ON deliveries WHEN old.status = 'pending'
BEGIN
  UPDATE pending_deliveries SET count = count - 1 WHERE channel_type = old.channel_type;
  DELETE FROM pending_deliveries WHERE channel_type = old.channel_type AND count <= 0;
END;
`

/** What a series may say beyond its schedule; the rows that are there get the defaults of that time. */
const SERIES_POLICIES = `
ALTER TABLE series ADD COLUMN bounds TEXT NOT NULL DEFAULT '{"startAt":null,"endAt":null,"maxRuns":null,"exclusions":[],"jitterMs":0}';
ALTER TABLE series ADD COLUMN policy TEXT NOT NULL DEFAULT '{"catchUpWindowMs":null,"catchUpCap":100,"staggerMs":0,"bufferLimit":100,"pauseAfterFailures":null,"startToCloseMs":null,"context":"group","isolatedRetentionMs":86400000,"retryLimit":null,"retryBaseMs":null}';
ALTER TABLE series ADD COLUMN fired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN failures_in_row INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_of_series ON runs (series_id) WHERE series_id >= '';
CREATE INDEX sessions_expiring ON sessions (expires_at) WHERE expires_at >= 0;
`

/** What a group says about its containers. */
const GROUP_CONTAINERS = `
ALTER TABLE groups ADD COLUMN container TEXT NOT NULL DEFAULT '{"sandbox":{},"mounts":[],"packages":{"apt":[],"npm":[]},"requested":{"apt":[],"npm":[]},"skills":"all","runnerDir":null}';
`

/** Clocks of containers that differ from the host's. */
const ENGINE_ROOM = `
ALTER TABLE incarnations ADD COLUMN row_skew_ms INTEGER;
ALTER TABLE incarnations ADD COLUMN file_skew_ms INTEGER;
ALTER TABLE messages ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN answers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE deliveries ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN first_attempt_at INTEGER;
ALTER TABLE deliveries ADD COLUMN refusal TEXT;
ALTER TABLE deliveries ADD COLUMN detail TEXT;
ALTER TABLE incarnations ADD COLUMN host_id TEXT;
ALTER TABLE series ADD COLUMN task_id TEXT;
CREATE UNIQUE INDEX series_by_task ON series (task_id, session_id) WHERE task_id >= '';
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (next_attempt_at, position, session_id, channel_type)
  WHERE status = 'pending' AND next_attempt_at >= 0;
DROP INDEX deliveries_changed;
CREATE INDEX deliveries_changed ON deliveries (session_id, revision) WHERE outbound_id >= '';
ALTER TABLE series ADD COLUMN grid INTEGER NOT NULL DEFAULT 0;
DROP INDEX IF EXISTS incarnations_live_by_group;
`

/** One per version, oldest first. */
const MIGRATIONS: ReadonlyArray<string> = [
  FIRST,
  PENDING_COUNTED,
  SERIES_POLICIES,
  GROUP_CONTAINERS,
  ENGINE_ROOM,
]

/** What this program writes, and the newest that it reads. */
export const SCHEMA_VERSION = MIGRATIONS.length

const versionOf = (database: Database): number => Number(database.pragma("user_version", { simple: true }))

/** `LAMP`: tells a ledger from any other SQLite file. */
const APPLICATION_ID = 0x4c_41_4d_50

/** Brings the file to `SCHEMA_VERSION` in one transaction. Throws `LedgerError` when it is no ledger, or a newer one. */
export const migrate = (database: Database): void => {
  const version = checkVersion(database)
  if (version === SCHEMA_VERSION) return
  database
    .transaction(() => {
      for (const sql of MIGRATIONS.slice(version)) database.exec(sql)
      database.pragma(`application_id = ${APPLICATION_ID}`)
      database.pragma(`user_version = ${SCHEMA_VERSION}`)
    })
    .exclusive()
}

/** For who may not migrate: the file must be as this program writes it. Throws `LedgerError`. */
export const requireCurrent = (database: Database): void => {
  const version = checkVersion(database)
  if (version === SCHEMA_VERSION) return
  throw new LedgerError({
    reason: "Closed",
    message:
      version === 0
        ? `the ledger ${database.name} is empty; start the daemon once, it fills it`
        : `the ledger ${database.name} has schema version ${version}, older than this program's ${SCHEMA_VERSION}; start the daemon once, it migrates it`,
  })
}

const checkVersion = (database: Database): number => {
  const version = versionOf(database)
  const application = Number(database.pragma("application_id", { simple: true }))
  const tables = database.prepare("SELECT count(*) FROM sqlite_schema").pluck().get()
  const foreign = version === 0 ? application !== 0 || tables !== 0 : application !== APPLICATION_ID
  if (foreign) {
    throw new LedgerError({
      reason: "Corrupt",
      message: `${database.name} is a database, but no ledger; point the daemon at another data directory`,
    })
  }
  if (version > SCHEMA_VERSION) {
    throw new LedgerError({
      reason: "Closed",
      message: `the ledger ${database.name} has schema version ${version} and this program knows ${SCHEMA_VERSION} at most; run the newer program that wrote it, or restore a backup from before the upgrade`,
    })
  }
  return version
}
