-- name: follow
with made as (insert into log (origin, name, kind) values (%(origin)s, %(name)s, %(kind)s)
              on conflict (origin) do nothing returning id)
insert into progress (log) select id from made;

-- name: progress
select log.id, log.origin, log.name, log.kind, p.size, p.note, p.pending, p.stopped, coalesce(h.size, -1) as shown,
    h.root
from log join progress p on p.log = log.id left join head h on h.log = log.id where log.origin = %(origin)s;
