/** Number of the table layout; a folder of a greater one is refused. */
export const formatNumber = 1

/** In the header of the file: tells a journal of ours from other programs' databases. "Trpj". */
export const applicationId = 0x5472706a

/**
 * Rows of entries are appended in order of commits and found by an index of integers: speed does not depend on how many runs
 * or entries there are. The unique index is what refuses a second append at a position.
 *
 * Numbers of runs are never used twice, so that what is left of a deleted run (`doomed`) belongs to no other.
 */
export const schema = `
create table meta(key text primary key, value) without rowid;
create table runs(
  id integer primary key autoincrement,
  flow_run_id text not null,
  position integer not null,
  epoch integer not null,
  last text not null,
  name text,
  version text,
  kind text,
  run_name text,
  state text,
  tags text,
  started_at real,
  changed_at real,
  ended integer not null,
  parent text,
  parent_flow text,
  node text,
  node_epoch integer,
  crc integer not null
);
create unique index runs_by_flow_run_id on runs(flow_run_id);
create index runs_live on runs(id) where ended = 0;
create index runs_ended on runs(state, id) where ended = 1;
create index runs_to_sweep on runs(changed_at, id, state, parent_flow) where ended = 1;
create index runs_by_parent on runs(parent, id) where parent is not null;
create index runs_below on runs(parent_flow) where parent_flow is not null;
create index runs_by_name on runs(name, id);
create table tags(tag text, run integer, primary key(tag, run)) without rowid;
create index tags_by_run on tags(run);
create table entries(
  seq integer primary key,
  run integer not null,
  pos integer not null,
  count integer not null,
  body blob not null,
  blobs blob,
  crc integer not null
);
create unique index entries_by_position on entries(run, pos);
create table blobs(name text primary key, bytes blob not null, pinned integer not null, crc integer not null);
create table uses(run integer, blob text, primary key(run, blob)) without rowid;
create index uses_by_blob on uses(blob);
create table doomed(run integer primary key);
create table messages(
  seq integer primary key autoincrement,
  flow_run_id text not null,
  id text not null,
  body blob not null,
  crc integer not null
);
create unique index messages_by_id on messages(flow_run_id, id);
create table nodes(
  name text primary key,
  host text not null,
  boot text not null,
  space text not null,
  pid integer not null,
  started text not null,
  beat integer not null
) without rowid;
create table cache(
  key text primary key,
  value blob not null,
  run_id text not null,
  expires real,
  crc integer not null
);
create index cache_by_expiry on cache(expires) where expires is not null;
`
