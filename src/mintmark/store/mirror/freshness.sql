-- name: keep
-- In the same order everywhere: two workers may lose one source at once.
insert into last_confirmation (log, confirmed, until)
select log, max(confirmed), max(confirmed + fresh_for * interval '1 s') from gone
where confirmed is not null group by log order by log
on conflict (log) do update set confirmed = greatest(last_confirmation.confirmed, excluded.confirmed),
    until = greatest(last_confirmation.until, excluded.until);

-- name: beat
-- What a source confirms no more held until its last word, which is read before it is replaced.
with gone as (
    delete from confirmation c using heartbeat b
    where c.worker = %(worker)s and b.worker = c.worker and b.source = c.source
    and (c.source, c.log) in (select * from unnest(%(gone_sources)s::text[], %(gone_logs)s::int[]))
    returning c.log, b.confirmed, b.fresh_for),
kept as ({keep})
insert into heartbeat (worker, source, error, confirmed, fresh_for)
select %(worker)s, source, error, now() - age * interval '1 s', %(fresh_for)s
from unnest(%(sources)s::text[], %(errors)s::text[], %(ages)s::float8[]) as said(source, error, age)
on conflict (worker, source) do update set error = excluded.error, at = now(), fresh_for = excluded.fresh_for,
    confirmed = greatest(heartbeat.confirmed, excluded.confirmed)
returning source, xmax = 0;

-- name: confirm
insert into confirmation (worker, source, log)
select b.worker, b.source, said.log from unnest(%(sources)s::text[], %(logs)s::int[]) as said(source, log)
join heartbeat b on b.worker = %(worker)s and b.source = said.source join log on log.id = said.log
on conflict do nothing;

-- name: retire
with silent as (
    delete from heartbeat
    where worker = %(worker)s or at < now() - greatest(fresh_for, %(seconds)s) * interval '1 s'
    returning worker, source, confirmed, fresh_for),
gone as (select c.log, s.confirmed, s.fresh_for from confirmation c join silent s using (worker, source))
{keep};

-- name: confirm_once
with gone as (
    select log.id as log, now() - age * interval '1 s' as confirmed, %(fresh_for)s::float8 as fresh_for
    from unnest(%(origins)s::text[], %(ages)s::float8[]) as said(origin, age) join log using (origin))
{keep};

-- name: offer
-- A row that a step has locked is passed over: its own commit says what is known. A heartbeat waits for no step.
with free as (
    select p.log from progress p join log on log.id = p.log
    where log.origin = any(%(origins)s::text[]) order by p.log for no key update of p skip locked)
update progress p set offered = said.size,
    behind = case when behind > coalesce(h.at, '-infinity') then behind else now() end
from unnest(%(origins)s::text[], %(sizes)s::bigint[]) as said(origin, size) join log using (origin)
join free on free.log = log.id left join head h on h.log = log.id
where p.log = log.id and p.offered < said.size and coalesce(h.size, 0) < said.size;

-- name: standings
select log.id, log.origin, log.name, coalesce(h.size, 0), greatest(p.offered, p.pending), p.stopped,
    coalesce(f.confirmed, log.created), f.seconds_left
from log join progress p on p.log = log.id join freshness f on f.log = log.id left join head h on h.log = log.id;

-- name: confirmable
-- A log is confirmed to those who follow this copy where the copy is all that is known, and its sources say so still.
with standing as (
    select log.origin, f.confirmed, f.fresh,
        f.fresh and p.stopped is null and coalesce(h.size, 0) >= greatest(p.offered, p.pending) as complete
    from log join progress p on p.log = log.id join freshness f on f.log = log.id left join head h on h.log = log.id)
select coalesce(extract(epoch from now() - min(confirmed) filter (where complete)), 0)::float8,
    coalesce(array_agg(origin) filter (where not complete), '{}'), coalesce(not bool_or(fresh), false)
from standing;

-- name: contradictions
select log, kind, reason, at, notes from evidence where log = any(%(logs)s::int[]) and resumed is null order by log, id;
