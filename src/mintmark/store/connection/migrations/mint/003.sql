-- The function of 002.sql again: it finds the bundles of erased items one by one, by their keys. A join could read all
-- bundles of the log, where statistics have never seen it.

create or replace function commit_append(
    in_log integer, old_size bigint, old_root bytea, new_size bigint, new_root bytea, new_note bytea,
    levels smallint[], tiles bigint[], tile_widths smallint[], tile_hashes bytea[],
    bundles bigint[], bundle_widths smallint[], bundle_entries bytea[], bundle_items bytea[],
    ids bytea[], digests bytea[], firsts bigint[], counts integer[],
    erased bigint[], erased_items bytea[],                     -- older bundles, and their items without those erased
    keys text[], positions bigint[], definitions bytea[],      -- system entries that are the latest of their key now
    types text[], timestamps text[]                            -- clocks that moved
) returns boolean language plpgsql as $$
begin
    update head set size = new_size, root = new_root, note = new_note, at = now()
        where log = in_log and size = old_size and root = old_root;
    if not found then
        return false;
    end if;
    insert into tile (log, level, index, width, hashes)
        select in_log, * from unnest(levels, tiles, tile_widths, tile_hashes)
        on conflict (log, level, index) do update set width = excluded.width, hashes = excluded.hashes;
    insert into bundle (log, index, width, entries, items)
        select in_log, * from unnest(bundles, bundle_widths, bundle_entries, bundle_items)
        on conflict (log, index) do update
            set width = excluded.width, entries = excluded.entries, items = excluded.items;
    insert into request (log, id, digest, first, count)
        select in_log, * from unnest(ids, digests, firsts, counts);
    for at in 1..cardinality(erased) loop
        update bundle set items = erased_items[at] where log = in_log and index = erased[at];
    end loop;
    if cardinality(keys) > 0 then
        insert into definition (log, key, index, item) select in_log, * from unnest(keys, positions, definitions)
            on conflict (log, key) do update set index = excluded.index, item = excluded.item;
    end if;
    if cardinality(types) > 0 then
        insert into clock (log, type, timestamp) select in_log, * from unnest(types, timestamps)
            on conflict (log, type) do update set timestamp = excluded.timestamp;
    end if;
    return true;
end $$;
