-- The database's own name: a random one, made once. A restored or cloned copy has the same.
create table identity (id uuid not null default gen_random_uuid());
create unique index identity_one on identity ((true));
insert into identity default values;
