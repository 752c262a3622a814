-- name: insert_tile
insert into tile (log, level, index, width, hashes)
values (%(log)s, %(level)s, %(index)s, %(width)s, %(hashes)b);

-- name: insert_bundle
insert into bundle (log, index, width, entries, items)
values (%(log)s, %(index)s, %(width)s, %(entries)b, %(items)b);

-- name: upsert_tiles
insert into {table} (log, level, index, width, hashes)
select %(log)s, * from unnest(%(levels)s::smallint[], %(indices)s::bigint[], %(widths)s::smallint[], %(hashes)b::bytea[])
on conflict (log, level, index) do update set width = excluded.width, hashes = excluded.hashes;

-- name: grow_bundle
update bundle set width = %(width)s, entries = entries || %(entries)b, items = items || %(items)b
where log = %(log)s and index = %(index)s and width = %(held)s;
