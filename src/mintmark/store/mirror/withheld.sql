-- name: page
select index, source from missing
where log = %(log)s and by is null and index > %(after)s order by index limit %(most)s;

-- name: take
-- Those of these items that are still waited for: another worker may have been faster, or an erasure come.
delete from missing where log = %(log)s and index = any(%(indices)s) and by is null returning index;

-- name: lock
-- As a batch does first: no other writes the log until this transaction ends.
select from progress where log = %(log)s for update;
