-- name: bundles
-- By COPY: for values as long as these, it takes half the time of a SELECT.
copy (select index, width, entries, items from bundle
      where log = %(log)s and index >= %(first)s and index < %(stop)s order by index
      limit greatest(1, (
          select count(*) from (
              select sum(octet_length(entries) + octet_length(items)) over (order by index) as upto
              from bundle where log = %(log)s and index >= %(first)s and index < %(stop)s) as b
          where upto <= %(max_bytes)s)))
to stdout (format binary);

-- name: bundles_with_items
-- How many of the first bundles have items, and how many bundles these are.
select count(*) filter (where octet_length(items) > 0), count(*)
from (select items from bundle where log = %(log)s order by index limit 64) as b;

-- name: tiles
select k.level, k.index, t.width, t.hashes from unnest(%(levels)s::smallint[], %(indices)s::bigint[]) as k(level, index)
cross join lateral (
    select width, hashes from {table} where log = %(log)s and level = k.level and index = k.index limit 1) as t;

-- name: stray_tiles
-- Tiles that a tree with so many at each level does not have.
select level, index from {table}
left join unnest(%(counts)s::bigint[]) with ordinality as k(count, at) on at = level + 1
where log = %(log)s and not coalesce(index >= 0 and index < count, false) order by level, index;

-- name: stray_logs
-- The logs that rows of a table name, found without a read of every row, and that do not exist.
with recursive seen as (
    select min(log) as log from {table}
    union all select (select min(log) from {table} where log > seen.log) from seen where seen.log is not null)
select log from seen where log is not null and not exists (select from log where id = seen.log);

-- name: checkpoints
select size, note from checkpoint where log = %(log)s and (size < 0 or size >= %(start)s) order by size;

-- name: leaves
-- The leaf hashes of [start, end), and whether those rows are complete and have no other column, as in an opaque log.
select string_agg(leaf_hash, ''::bytea), count(*) = %(end)s - %(start)s
    and bool_and(num_nonnulls(type, key, timestamp, item_hash, item, superseded_by, number, live) = 0)
from (select * from entry where log = %(log)s and index >= %(start)s and index < %(end)s order by index) as e;

-- name: entries
-- All columns but the item; what supersedes an entry only as far as `end`: what comes later is not known yet.
copy (select log, index, leaf_hash, type, key, timestamp, item_hash, null::jsonb,
             case when superseded_by < %(end)s then superseded_by end, number, live
      from entry where log = %(log)s and index >= %(start)s and index < %(end)s order by index)
to stdout (format binary);

-- name: prior
select k.type, k.key, p.index, p.item_hash is not null, p.superseded_by
from unnest(%(types)s::text[], %(keys)s::text[]) as k(type, key)
cross join lateral (select index, item_hash, superseded_by from entry
                    where log = %(log)s and type = k.type and key >= k.key and (key, index) < (k.key, %(start)s::bigint)
                    and index >= 0 and not index = any(%(bad)s::bigint[])
                    order by key desc, index desc limit 1) as p;

-- name: wrongly_superseded
select index, superseded_by, type, key from entry e
where log = %(log)s and superseded_by is not null and not exists (
    select from (select type, key, index from entry where log = e.log and index = e.superseded_by limit 1) as n
    where n.type = e.type and n.key = e.key and n.index > e.index)
order by index;

-- name: missing
select index, by from missing
where log = %(log)s and (index < 0 or index >= %(start)s or index = any(%(indices)s::bigint[]));
