-- name: claim
with taken as (
    insert into lease (log, worker, until) values (%(log)s, %(worker)s, now() + %(seconds)s * interval '1 s')
    on conflict (log) do update set worker = excluded.worker, until = excluded.until
    where lease.worker = excluded.worker or lease.until < now()
    returning log)
select case when exists (select from taken) then 0::float8
       else (select extract(epoch from until - now())::float8 from lease where log = %(log)s) end;

-- name: shares
select count(*) filter (where worker = %(worker)s), count(*),
       (select count(distinct worker) from heartbeat
        where at > now() - %(alive)s * interval '1 s' and error is null)
from lease where until > now();
