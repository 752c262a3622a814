-- name: put_bundle
insert into bundle (log, index, width, entries, items)
values (%(log)s, %(index)s, %(width)s, %(entries)s, %(items)s)
on conflict (log, index) do update
    set width = excluded.width, entries = excluded.entries, items = excluded.items;

-- name: put_head
insert into head (log, size, root, note) values (%(log)s, %(size)s, %(root)s, %(note)s)
on conflict (log) do update set size = excluded.size, root = excluded.root, note = excluded.note;

-- name: put_progress
insert into progress (log, size, note, pending) values (%(log)s, %(size)s, %(note)s, %(pending)s)
on conflict (log) do update set size = excluded.size, note = excluded.note, pending = excluded.pending;

-- name: set_checkpoint
update checkpoint set size = %(right)s, note = %(note)s where log = %(log)s and size = %(size)s
and not exists (select from checkpoint where log = %(log)s and size = %(right)s and size <> %(size)s);

-- name: put_entry
-- What supersedes the entry is looked up in the rows, so the rows must be right before this runs.
insert into entry as e (log, index, leaf_hash, type, key, timestamp, item_hash, item, number, live, superseded_by)
select r.*, (select n.index from entry n where n.log = r.log and n.type = r.type and n.key <= r.key
             and (n.key, n.index) > (r.key, r.index) order by n.key, n.index limit 1)
from (select %(log)s::int as log, %(index)s::bigint as index, %(leaf_hash)s::bytea, %(type)s::text as type,
             %(key)s::text collate "C" as key, %(timestamp)s::text, %(item_hash)s::bytea, %(item)s::text::jsonb,
             %(number)s::bigint, %(live)s::bigint) as r
on conflict (log, index) do update set
    leaf_hash = excluded.leaf_hash, type = excluded.type, key = excluded.key, timestamp = excluded.timestamp,
    item_hash = excluded.item_hash, item = excluded.item, number = excluded.number, live = excluded.live,
    superseded_by = excluded.superseded_by;

-- name: set_superseded
update entry e set superseded_by = (
    select n.index from entry n where n.log = e.log and n.type = e.type and n.key <= e.key
    and (n.key, n.index) > (e.key, e.index) order by n.key, n.index limit 1)
where log = %(log)s and index = %(index)s;

-- name: put_missing
insert into missing (log, index, by) values (%(log)s, %(index)s, %(by)s)
on conflict (log, index) do update set by = excluded.by;

-- name: put_definition
insert into definition (log, key, index, item) values (%(log)s, %(key)s, %(index)s, %(item)s)
on conflict (log, key) do update set index = excluded.index, item = excluded.item;

-- name: put_clock
insert into clock (log, type, timestamp) values (%(log)s, %(type)s, %(timestamp)s)
on conflict (log, type) do update set timestamp = excluded.timestamp;
