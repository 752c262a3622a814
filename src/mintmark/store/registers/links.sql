-- name: referrers
-- No condition on the log beside the value's own: so the planner can choose the index of values, and nothing else.
select g.at, {columns}
from unnest(%(sizes)s::bigint[], %(values)s::jsonb[]) with ordinality as g(size, value, at)
cross join lateral (
    select * from entry e where scoped(e.log, e.item) @> g.value and e.type = 'user' and e.index < g.size
    and (e.superseded_by is null or e.superseded_by >= g.size) limit %(limit)s) as e
order by g.at, e.key;

-- name: newest_referrers
select g.at, {columns}
from unnest(%(logs)s::int[], %(sizes)s::bigint[], %(fields)s::text[], %(values)s::jsonb[]) with ordinality
    as g(log, size, field, value, at)
cross join lateral (
    select * from (select * from entry where log = g.log and index < g.size order by index desc limit {newest}) as n
    where n.type = 'user' and (n.superseded_by is null or n.superseded_by >= g.size)
    and (n.item -> g.field) @> g.value limit %(limit)s) as e
order by g.at, e.key;
