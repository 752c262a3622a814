-- name: create
with made as (insert into log (origin, name, kind, salted) values (%(origin)s, %(name)s, %(kind)s, %(salted)s)
              on conflict do nothing returning id),
    begun as (insert into head (log, size, root, note) select id, 0, %(root)b, %(note)b from made returning log)
select log from begun;

-- name: tiles
select k.level, k.index, t.hashes from unnest(%(levels)s::smallint[], %(indices)s::bigint[]) as k(level, index)
cross join lateral (
    select hashes from tile where log = %(log)s and level = k.level and index = k.index limit 1) as t;

-- name: items
select i.index, b.items from unnest(%(indices)s::bigint[]) as i(index)
cross join lateral (select items from bundle where log = %(log)s and index = i.index limit 1) as b;

-- name: answered
select i.id, r.digest, r.first, r.count from unnest(%(ids)s::bytea[]) as i(id)
cross join lateral (
    select digest, first, count from request where log = %(log)s and id >= i.id and id <= i.id order by id limit 1) as r;

-- name: commit
-- The function is made by migrations/mint/002.sql. Bytes go as they are, by %b.
select commit_append(
    in_log => %(log)s, old_size => %(old_size)s, old_root => %(old_root)b,
    new_size => %(new_size)s, new_root => %(new_root)b, new_note => %(new_note)b,
    levels => %(levels)s, tiles => %(tiles)s, tile_widths => %(tile_widths)s, tile_hashes => %(tile_hashes)b,
    bundles => %(bundles)s, bundle_widths => %(bundle_widths)s,
    bundle_entries => %(bundle_entries)b, bundle_items => %(bundle_items)b,
    ids => %(ids)b, digests => %(digests)b, firsts => %(firsts)s, counts => %(counts)s,
    erased => %(erased)s, erased_items => %(erased_items)b,
    keys => %(keys)s, positions => %(positions)s, definitions => %(definitions)b,
    types => %(types)s, timestamps => %(timestamps)s);
