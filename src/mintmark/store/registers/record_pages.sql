-- name: page
select {columns} from (select * from entry e where e.log = %(log)s and e.type = 'user' and {beyond}
                       order by {order} limit %(window)s) as e
where {stands} and {match} order by {order} offset %(offset)s limit %(limit)s;

-- name: window_end
-- The last entry of the window, if it is full: other entries of its key may be beyond the window.
select key, index, n from (
    select e.key, e.index, row_number() over (order by {order}) as n from entry e
    where e.log = %(log)s and e.type = 'user' and {beyond} order by {order} limit %(window)s) as e
where n = %(window)s;

-- name: found
-- How many match, up to max_sorted, and those of the page; where the page is empty, one row with the count alone.
with found as materialized (
    select e.log, e.index, e.key from entry e where {match} and {stands} limit %(max_sorted)s + 1)
select counted.n, {columns} from (select count(*) as n from found) as counted left join (
    select log, index from found as e where {beyond} order by {order} offset %(offset)s limit %(limit)s) as p
    on counted.n <= %(max_sorted)s
left join entry e on e.log = p.log and e.index = p.index order by {order};

-- name: words
-- What a word is to the index: none, one, or several where it has signs in it.
select nullif(plainto_tsquery('simple', t.text)::text, '')
from unnest(%(texts)s::text[]) with ordinality as t(text, at) order by t.at;
