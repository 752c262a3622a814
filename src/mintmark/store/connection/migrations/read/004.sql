-- Who sent a bundle without an item that no erasure explains, as long as none does; null where nobody remembers. The
-- item is asked of others, and where one has it, this source withheld it.
alter table missing add column source text;
