-- Our tables move from `public` to a schema of their own, where they stood there: the caller has made the schema, and
-- found that `public.schema_version` is ours. In a new database, and where `public` is our schema, nothing is to move.
--
-- A table of versions stays behind in `public`, with this version. An older mintmark reads it and refuses; without it,
-- it would take the database for an empty one, and begin every log anew.
do $$
declare
    target constant text := current_schema();
    tables constant jsonb := '{
        "log": ["log", "head", "tile", "bundle"],
        "mint": ["request", "definition", "clock"],
        "read": ["progress", "checkpoint", "lease", "heartbeat", "evidence", "entry", "missing", "v1_tile"]}';
    functions constant jsonb := '{"log": [], "mint": ["commit_append"], "read": ["scoped", "words"]}';
    part text;
    moved text;
begin
    if to_regclass('log') is not null then
        return;
    end if;
    for part in select distinct component from public.schema_version order by component loop
        for moved in select jsonb_array_elements_text(tables -> part) loop
            execute format('alter table public.%I set schema %I', moved, target);
        end loop;
        for moved in select jsonb_array_elements_text(functions -> part) loop
            execute format('alter function public.%I set schema %I', moved, target);
        end loop;
    end loop;
    execute format('alter table public.schema_version set schema %I', target);
    -- Who was given rights on the tables, the read API's own role for one, keeps them.
    for moved in select distinct pg_get_userbyid(grantee) from pg_class, aclexplode(relacl)
                 where oid = to_regclass('head') and grantee not in (0, relowner) loop
        execute format('grant usage on schema %I to %I', target, moved);
    end loop;
    create table public.schema_version (
        component text not null, version int not null, at timestamptz not null default now(),
        primary key (component, version));
    insert into public.schema_version (component, version) values ('log', 2);
end $$;
