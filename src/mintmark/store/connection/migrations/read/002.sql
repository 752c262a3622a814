-- Room on each page for entries that are superseded: their new versions stay beside the old ones, and no index is touched.
-- On full pages each costs an entry in every index, those of values and words included.
alter table entry set (fillfactor = 90);
