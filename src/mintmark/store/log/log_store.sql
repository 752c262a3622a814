-- name: tiles
-- One index probe a tile, whatever the planner thinks of so many. The addresses come as one JSON text: psycopg takes
-- longer to print arrays than Postgres to answer.
select k.at, t.hashes from jsonb_to_recordset(%(addresses)s::jsonb) as k(at int, log int, level int, index bigint)
cross join lateral (select hashes from {table} t where t.log = k.log and t.level = k.level and t.index = k.index
                    limit 1) as t;

-- name: bundles
-- The window sums lengths alone: bundles beyond the limit are never read from disk. It sums all that it is shown.
select index, width, entries, items from (
    select index, width, entries, items,
           sum(octet_length(entries) + octet_length(items)) over (order by index) as upto
    from bundle where log = %(log)s and index >= %(first)s and index < %(stop)s) as b
where upto <= %(max_bytes)s or index = %(first)s order by index;
