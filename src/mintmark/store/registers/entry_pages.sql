-- name: bare
-- The columns of an entry in a list: of the item, only that it is there.
e.index, e.type, case when e.type = 'user' then e.number end, e.key, e.timestamp, e.item_hash,
case when e.item is not null then '{}' end, {absence};

-- name: numbered
select {bare} from entry e where log = %(log)s and type = 'user' and number >= %(start)s and index < %(size)s
order by number limit %(limit)s;

-- name: indexed
select {bare} from entry e where log = %(log)s and index >= %(start)s and index < %(size)s and type is not null
order by index limit %(limit)s;

-- name: trail
select {bare} from entry e where log = %(log)s and type = 'user' and key >= %(key)s
and (key, index) > (%(key)s, %(after)s::bigint) and (key, index) < (%(key)s, %(size)s::bigint)
order by key, index limit %(limit)s;

-- name: history
select {columns} from entry e where log = %(log)s and type = 'user' and key >= %(key)s
and (key, index) < (%(key)s, %(size)s::bigint) order by key desc, index desc limit %(limit)s;

-- name: changes
select {columns}, {columns_before}
from (select * from entry where log = %(log)s and type = 'user' and index >= %(start)s and index < %(size)s
      order by index limit %(window)s) as e
left join lateral (select * from entry b where b.log = e.log and b.type = 'user' and b.key >= e.key
                   and (b.key, b.index) < (e.key, %(before)s::bigint) order by b.key desc, b.index desc limit 1) as b on true
where (e.superseded_by is null or e.superseded_by >= %(size)s) and b.item_hash is distinct from e.item_hash
order by e.index limit %(limit)s;

-- name: window_end
select max(index), count(*) from (
    select index from entry where log = %(log)s and type = 'user' and index >= %(start)s and index < %(size)s
    order by index limit %(window)s) as e;
