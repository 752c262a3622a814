-- name: absence
-- Why an item is not there: the entry that erased it, with its own item. Null for an item that is there or unreadable.
case when e.item is null and e.item_hash is not null then (
    select jsonb_build_array(m.by, s.item)::text from missing m left join entry s on s.log = m.log and s.index = m.by
    where m.log = e.log and m.index = e.index and m.by is not null) end;

-- name: columns
e.index, e.type, case when e.type = 'user' then e.number end, e.key, e.timestamp, e.item_hash, e.item::text, {absence};

-- The lookups come as one JSON text: psycopg takes longer to print three arrays than Postgres to answer.

-- name: before_size
-- The user entries of a key below a size, newest first.
e.log = k.log and e.type = 'user' and e.key >= k.key and (e.key, e.index) < (k.key, k.size)
order by e.key desc, e.index desc;

-- name: latest
select k.at, {columns} from jsonb_to_recordset(%(lookups)s::jsonb) as k(at int, log int, size bigint, key text)
cross join lateral (select * from entry e where {before_size} limit 1) as e;

-- name: existing
select k.at from jsonb_to_recordset(%(lookups)s::jsonb) as k(at int, log int, size bigint, key text)
cross join lateral (select item_hash from entry e where {before_size} limit 1) as e
where e.item_hash is not null;

-- name: by_number
select {columns} from (select * from entry where log = %(log)s and type = 'user' and number >= %(number)s
                       order by number limit 1) as e
where number = %(number)s and index < %(size)s;

-- name: by_item
-- An entry that still has the item, else one where it is unreadable, else one whose item was erased.
with same as materialized (
    select ctid as place, index, case when item is not null then 0 else 1 + (exists (
        select from missing m where m.log = e.log and m.index = e.index))::int end as state from (
        select ctid, log, index, item from entry
        where log = %(log)s and item_hash >= %(digest)s and item_hash <= %(digest)s order by item_hash offset 0) as e
    where index < %(size)s),
first as materialized (select place from same order by state, index limit 1)
select {columns} from first join entry e on e.ctid = first.place;

-- name: definitions
-- Three ranges of keys, so that a million erasures, or entries of the log's own, are not read to find ten definitions.
select {columns} from (
    (select * from entry where log = %(log)s and type = 'system' and key < 'erase:' order by key offset 0)
    union all
    (select * from entry where log = %(log)s and type = 'system' and key >= 'erase;' and key < 'log:'
     order by key offset 0)
    union all
    (select * from entry where log = %(log)s and type = 'system' and key >= 'log;' order by key offset 0)) as e
where index >= %(start)s and index < %(size)s
order by index;

-- name: counts
select e.number, e.live, case when u.number = e.number then u.timestamp end
from entry e left join lateral (
    select number, timestamp from entry where log = %(log)s and type = 'user' and number >= e.number
    order by number limit 1) as u on true
where e.log = %(log)s and e.index = %(index)s;

-- name: size_at
-- A time ends after the last user entry up to it, and before the first younger one. Between them are only system
-- entries; their times are in no order, so the first younger one is looked for, among so many that it costs little.
with known as (
    select coalesce((
        select index + 1 from entry where log = %(log)s and type = 'user' and timestamp <= %(time)s
        and index < %(size)s order by timestamp desc, index desc limit 1), 0) as low,
    coalesce((
        select index from entry where log = %(log)s and type = 'user' and timestamp > %(time)s
        and index < %(size)s order by timestamp, index limit 1), %(size)s::bigint) as high)
select coalesce(min(e.index) filter (where e.timestamp > %(time)s), min(known.high))
from known left join lateral (
    select index, timestamp from entry
    where log = %(log)s and index >= known.low and index < known.high order by index limit 5000) as e on true;

-- name: growth
-- Number by number: for all at once and in order, a planner without statistics walks the whole log.
select e.index, e.timestamp, e.live from unnest(%(numbers)s::bigint[]) as n(number) cross join lateral (
    select number, index, timestamp, live from entry
    where log = %(log)s and type = 'user' and number >= n.number order by number limit 1) as e
where e.number = n.number and e.index < %(size)s
order by e.index;
