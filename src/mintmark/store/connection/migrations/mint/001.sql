-- What the mint knows beside the logs themselves. All of it is written in the transaction that moves the head.

-- Answers already given: a retry with the same request id gets the same indices. Kept for a week.
create table request (
    log    integer not null references log on delete cascade,
    id     bytea not null check (octet_length(id) = 16),
    digest bytea not null check (octet_length(digest) = 32),
    first  bigint not null,
    count  integer not null,
    at     timestamptz not null default now(),
    primary key (log, id)
);
create index request_age on request (at);

-- The latest system entry of each key of a register: name, custodian, fields, register. The schema in force is read here.
create table definition (
    log   integer not null references log on delete cascade,
    key   text not null,
    index bigint not null,
    item  bytea not null,
    primary key (log, key)
);

-- The latest timestamp of each type of entry: the next may be equal, not earlier.
create table clock (
    log       integer not null references log on delete cascade,
    type      text not null check (type in ('user', 'system')),
    timestamp text not null,
    primary key (log, type)
);
