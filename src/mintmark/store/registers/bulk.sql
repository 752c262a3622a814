-- name: records
select {columns} from entry e where e.log = %(log)s and {stands} and e.index >= %(start)s
order by e.index limit %(limit)s;

-- name: cells
-- Cells, as tables print them: what Postgres takes out of an item, nobody has to parse. A list comes as JSON.
select e.number::text, e.number::text, e.timestamp, e.key, {values} from entry e
where e.log = %(log)s and {stands} and e.number >= %(start)s order by e.number limit %(limit)s;

-- name: numbered
select {columns} from entry e where e.log = %(log)s and {stands} and e.number >= %(start)s
order by e.number limit %(limit)s;

-- name: with_value
-- A record with one of some values, found by the index of values and nothing else, however large the register is.
with found as materialized (
    select * from entry where scoped(log, item) @> any(%(values)s::jsonb[]) and type = 'user')
select {columns} from found e where {stands} order by e.index limit 1;

-- name: entries
select {columns} from entry e where e.log = %(log)s and e.index >= %(start)s and e.index < %(size)s
and e.type = any(%(types)s) and (%(own)s or e.type = 'user' or e.key < 'log:' or e.key >= 'log;') order by e.index limit %(limit)s;

-- name: entries_items_once
-- Each item once, unreadable ones too: with the first entry of the range that names it and was not erased.
select {columns} from entry e where e.log = %(log)s and e.index >= %(start)s and e.index < %(size)s
and e.type = any(%(types)s) and (%(own)s or e.type = 'user' or e.key < 'log:' or e.key >= 'log;')
and e.item_hash is not null and (e.item is not null or not exists (
    select from missing m where m.log = e.log and m.index = e.index))
and not exists (
    select from (select log, index, type, key, item from entry
                 where log = e.log and item_hash >= e.item_hash and item_hash <= e.item_hash
                 order by item_hash offset 0) as p
    where p.index >= %(first)s and p.index < e.index and p.type = any(%(types)s)
    and (%(own)s or p.type = 'user' or p.key < 'log:' or p.key >= 'log;')
    and (p.item is not null or not exists (select from missing m where m.log = p.log and m.index = p.index)))
order by e.index limit %(limit)s;

-- name: first_inexpressible
-- A tombstone, an erased or unreadable item, an erasure; but for entries of the log's own, which are left out.
select {columns} from entry e
where log = %(log)s and index >= %(start)s and index < %(size)s and type = any(%(types)s)
and (item is null or (type = 'system' and key >= 'erase:' and key < 'erase;'))
and (type = 'user' or key < 'log:' or key >= 'log;') order by index limit 1;
