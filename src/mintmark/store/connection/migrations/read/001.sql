-- A read database: verified copies of logs, and what they say as rows. Disposable: every row can be made again from
-- `bundle` (mintmark rebuild), and every bundle from a source.

-- How far a log has been verified. Written in the transaction that writes the verified rows; a commit moves `size` from
-- the value that it read, or changes nothing, so two workers on one log do no harm.
create table progress (
    log     integer primary key references log on delete cascade,
    size    bigint not null default 0,              -- verified, durable entries; the edge tiles are of this size
    note    bytea,                                  -- the pending checkpoint: the newest one accepted
    pending bigint not null default 0,              -- its size
    offered bigint not null default 0,              -- that of the largest signed head that a source showed
    behind  timestamptz,                            -- since when one was shown that is not complete here; null: none
    source  text,                                   -- where the last verified chunk came from
    stopped text,                                   -- why a human must decide; null while it is followed
    error   text,                                   -- the last passing trouble, for `status`
    at      timestamptz not null default now()
);

-- Every head accepted and complete, and when.
create table checkpoint (
    log  integer not null references log on delete cascade,
    size bigint not null,
    note bytea not null,
    at   timestamptz not null default now(),
    primary key (log, size)
);

-- Who works on what. A worker owns a log until `until`; behind a transaction pooler too, as a session lock would not.
create table lease (
    log    integer primary key references log on delete cascade,
    worker text not null,
    until  timestamptz not null
);

-- What each worker last heard of each source; written every few seconds while it lives.
create table heartbeat (
    worker text not null,
    source text not null,
    error  text,                                    -- null: its stream is open
    at     timestamptz not null default now(),
    primary key (worker, source)
);

-- Contradictions, kept for ever: two signed notes that cannot both be true, or one and what does not fit it.
create table evidence (
    id     bigint generated always as identity primary key,
    log    integer not null references log on delete cascade,
    kind   text not null,                           -- the error's class: Fork, Rollback, BadSignature, ProofError
    reason text not null,
    notes  bytea[] not null,
    source text not null,
    at     timestamptz not null default now(),
    resumed timestamptz                             -- when a human decided to go on; until then its source is not asked
);

-- The projection: one row an entry. An opaque log fills the first three columns only.
--   the register as of size N:  index < N and (superseded_by is null or superseded_by >= N)
create table entry (
    log           integer not null,
    index         bigint not null,
    leaf_hash     bytea not null,
    type          text,                             -- 'user' or 'system'; null: not a register entry
    key           text collate "C",
    timestamp     text collate "C",                 -- as in the leaf: YYYY-MM-DDTHH:MM:SSZ, so it sorts as it reads
    item_hash     bytea,                            -- 32 bytes; null: a tombstone
    item          jsonb,                            -- null: a tombstone, or erased
    superseded_by bigint,                           -- index of the key's next entry
    number        bigint,                           -- user entries up to and with this one: its number in the v1 API
    live          bigint,                           -- records that stand after this entry
    primary key (log, index)
);
-- No index of leaf hashes: as random as they are, it would cost more than all other writing. Who wants entries by hash
-- makes one, and it is used: create index entry_leaf on entry (log, leaf_hash).
create index entry_key on entry (log, type, key, index) where key is not null;
create index entry_number on entry (log, number) where type = 'user';
create index entry_time on entry (log, timestamp, index) where type = 'user';
create index entry_item on entry (log, item_hash) where item_hash is not null;

-- What a value, and what a word, is found by: records by a field's value, what refers to a record, and search. No index
-- names `superseded_by`, so that superseding an entry rewrites no index. The log is part of what is looked for: a value
-- that is common in one register costs the others nothing.
create function scoped(log integer, item jsonb) returns jsonb language sql immutable parallel safe
    return jsonb_build_object(log::text, item);
create function words(log integer, item jsonb) returns tsvector language sql immutable parallel safe
    return jsonb_to_tsvector('simple', item, '["string"]') || array_to_tsvector(array['log ' || log::text]);
create index entry_value on entry using gin (scoped(log, item) jsonb_path_ops) where type = 'user';
create index entry_word on entry using gin (words(log, item)) where type = 'user';

-- Items that a source did not send: they must have been erased. `by` is the erasing entry, once it has been seen; a head
-- is not advanced over a row without one.
create table missing (
    log   integer not null references log on delete cascade,
    index bigint not null,
    by    bigint,
    primary key (log, index)
);
create index missing_unexplained on missing (log, index) where by is null;

-- The tree over the user entries in their v1 form, for the v1 API's proofs and RSF's assert-root-hash.
create table v1_tile (
    log    integer not null references log on delete cascade,
    level  smallint not null,
    index  bigint not null,
    width  smallint not null,
    hashes bytea not null,
    primary key (log, level, index)
);
alter table v1_tile alter column hashes set storage external;
alter table v1_tile set (fillfactor = 90);
