-- name: keep
insert into evidence (log, kind, reason, notes, source)
select %(log)s, %(kind)s, %(reason)s, %(notes)s::bytea[], %(source)s where not exists (
    select from evidence where log = %(log)s and kind = %(kind)s and source = %(source)s and notes = %(notes)s
    and resumed is null);

-- name: resume
with before as (select stopped from progress where log = %(log)s),
     cleared as (update evidence set resumed = now() where log = %(log)s and resumed is null returning id),
     moved as (update progress set stopped = null, error = null where log = %(log)s)
select exists (select from cleared) or exists (select from before where stopped is not null);
