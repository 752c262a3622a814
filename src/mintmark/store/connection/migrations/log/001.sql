-- A log and its Merkle tree. The mint's database and a read database hold them in these same tables.
--
-- Entries are stored 256 to a row, as the bytes that were hashed; a tree, 256 hashes to a row. A row's `width` says how
-- many it holds. The last row of each level is rewritten, wider, by the commit that appends. A narrower tile is a prefix
-- of the wider one, so every past size can be proven from today's rows.

create table log (
    id      integer generated always as identity primary key,
    origin  text not null unique check (octet_length(origin) between 1 and 255),
    name    text not null unique,                   -- the last segment of the origin
    kind    text not null check (kind in ('opaque', 'register')),
    salted  boolean not null default false,
    created timestamptz not null default now()
);

-- The compare-and-swap cell: a commit moves `size` from the value that it read, or changes nothing.
-- Whatever is read of a log is read at its head: rows beyond it may exist (a mirror catching up) and are not shown.
create table head (
    log  integer primary key references log on delete cascade,
    size bigint not null check (size >= 0),
    root bytea not null check (octet_length(root) = 32),
    note bytea not null,                            -- the signed checkpoint of (size, root), as it was received
    at   timestamptz not null default now()
);

create table tile (
    log    integer not null references log on delete cascade,
    level  smallint not null check (level between 0 and 7),
    index  bigint not null check (index >= 0),
    width  smallint not null check (width between 1 and 256),
    hashes bytea not null check (octet_length(hashes) = width * 32),
    primary key (log, level, index)
);

create table bundle (
    log     integer not null references log on delete cascade,
    index   bigint not null check (index >= 0),
    width   smallint not null check (width between 1 and 256),
    entries bytea not null,                         -- (uint16 length, entry)*
    items   bytea not null,                         -- (uint16 length, item)*, parallel; empty for an opaque log
    primary key (log, index)
);

-- Hashes do not compress, and bundles are served as they are: out of line, uncompressed.
alter table tile alter column hashes set storage external;
alter table bundle alter column entries set storage external, alter column items set storage external;
-- The rows of the right edge are rewritten by each commit: leave room beside them.
alter table tile set (fillfactor = 90);
alter table head set (fillfactor = 50);
