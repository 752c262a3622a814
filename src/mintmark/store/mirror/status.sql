-- name: status
select log.origin, log.name, log.kind, p.size, p.pending, coalesce(h.size, 0) as head, p.source, p.stopped, p.error,
       h.at as head_at, extract(epoch from now() - p.at)::float8 as quiet,
       greatest(p.offered, p.pending) as offered,
       coalesce(extract(epoch from now() - p.behind), 0)::float8 as late,
       (select count(*) from evidence e where e.log = log.id and e.resumed is null)::int as contradictions,
       case when l.until > now() then l.worker end as worker, coalesce(f.confirmed, log.created) as confirmed, f.fresh
from log join progress p on p.log = log.id join freshness f on f.log = log.id left join head h on h.log = log.id
    left join lease l on l.log = log.id
order by log.name;

-- name: trouble
update progress p set error = %(reason)s, offered = greatest(offered, %(offered)s),
    behind = case when coalesce(h.size, 0) < greatest(offered, %(offered)s)
             then case when behind > coalesce(h.at, '-infinity') then behind else now() end end
from log l left join head h on h.log = l.id where l.id = p.log and l.origin = %(origin)s
and (error is distinct from %(reason)s or offered < %(offered)s);
