-- name: follow
with made as (insert into log (origin, name, kind) values (%(origin)s, %(name)s, %(kind)s)
              on conflict (origin) do nothing returning id)
insert into progress (log) select id from made;

-- name: progress
select log.id, log.origin, log.name, log.kind, p.size, p.note, p.pending, p.stopped, coalesce(h.size, -1) as shown,
    h.root
from log join progress p on p.log = log.id left join head h on h.log = log.id where log.origin = %(origin)s;

-- name: leaf_index
select min(index) from (
    select index from entry where log = %(log)s and leaf_hash >= %(leaf_hash)s and leaf_hash <= %(leaf_hash)s
    order by leaf_hash offset 0) as e
where index < %(size)s;
