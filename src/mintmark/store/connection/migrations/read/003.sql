-- Freshness is evidence: a log is current while a source says so, and unknown since its last word.
--
-- A word is about all logs of a source, so it is one row, written with each heartbeat; which logs it is about is written
-- when that changes. For a log that does not move nothing is written.

alter table heartbeat
    add column confirmed timestamptz,               -- when the source last confirmed the heads that it showed; null: never
    add column fresh_for double precision not null default 10;  -- the seconds that this holds

-- The logs that a source confirms, as a worker hears it.
create table confirmation (
    worker text not null,
    source text not null,
    log    integer not null references log on delete cascade,
    primary key (worker, source, log),
    foreign key (worker, source) references heartbeat on delete cascade
);
create index confirmation_log on confirmation (log);

-- The last word about a log of those that say nothing of it any more: workers that ended, runs, sources that took it
-- back. Not in `progress`: a step keeps that row locked, and no heartbeat may wait for a step.
create table last_confirmation (
    log       integer primary key references log on delete cascade,
    confirmed timestamptz not null,
    until     timestamptz not null                  -- how long it holds
);

create view freshness as
select log.id as log, greatest(l.confirmed, c.confirmed) as confirmed,
    coalesce(greatest(l.until, c.until) > now(), false) as fresh,
    coalesce(extract(epoch from greatest(l.until, c.until) - now()), 0)::double precision as seconds_left
from log left join last_confirmation l on l.log = log.id left join (
    select c.log, max(b.confirmed) as confirmed, max(b.confirmed + b.fresh_for * interval '1 s') as until
    from confirmation c join heartbeat b using (worker, source) group by c.log) c on c.log = log.id;
