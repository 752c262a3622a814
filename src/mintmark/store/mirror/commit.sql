-- The transaction of a verified batch, and the rows of `entry` that it writes.

-- name: move
-- Where nothing moves it fails, and nothing is done that was sent behind it.
with moved as (
    update progress
    set size = %(size)s, note = %(note)s, pending = %(pending)s, source = %(source)s, error = null, at = now()
    where log = %(log)s and size = %(old)s and stopped is null
    returning log)
select 1 / count(*) from moved;

-- name: show
-- The head does not move over an item that was withheld and that no erasure explains.
with shown as (
    insert into head (log, size, root, note) select %(log)s, %(size)s, %(root)b, %(note)b
    where not exists (select from missing where log = %(log)s and by is null)
    on conflict (log) do update set size = excluded.size, root = excluded.root, note = excluded.note, at = now()
    returning log, size, note)
insert into checkpoint (log, size, note) select log, size, note from shown
on conflict (log, size) do update set note = excluded.note;

-- name: put_leaves
insert into entry (log, index, leaf_hash)
select %(log)s, %(start)s::bigint + at, substr(%(hashes)b, 32 * at + 1, 32)
from generate_series(0, octet_length(%(hashes)b) / 32 - 1) as at;

-- name: copy_entries
copy entry (log, index, leaf_hash, type, key, timestamp, item_hash, item, superseded_by, number, live)
from stdin (format binary);

-- name: supersede
-- One probe for each key: its last entry, however many it has had, by its place in the table. Nobody moves it meanwhile:
-- who writes rows of this log has moved `progress` first. As JSON: psycopg takes five times as long to print arrays.
with last as materialized (
    select k.at, e.ctid as place from jsonb_to_recordset(%(keys)s::jsonb) as k(type text, key text, at bigint)
    cross join lateral (
        select ctid from entry
        where log = %(log)s and type = k.type and key >= k.key and (key, index) < (k.key, k.at)
        order by key desc, index desc limit 1) as e)
update entry e set superseded_by = last.at from last where e.ctid = last.place
returning e.type, e.key, e.item_hash is not null;

-- name: erase_rows
with erased as materialized (
    select e.ctid as place from unnest(%(indices)s::bigint[]) as i(index)
    cross join lateral (select ctid from entry where log = %(log)s and index = i.index limit 1) as e)
update entry e set item = null from erased where e.ctid = erased.place;

-- name: put_missing
-- `source` is who sent the entries: kept for an item that no erasure explains.
insert into missing (log, index, by, source)
select %(log)s, index, by, case when by is null then %(source)s end
from unnest(%(indices)s::bigint[], %(by)s::bigint[]) as m(index, by)
on conflict (log, index) do update set by = coalesce(missing.by, excluded.by),
    source = case when coalesce(missing.by, excluded.by) is null then coalesce(missing.source, excluded.source) end;
