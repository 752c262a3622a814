"""A read database that has been in use: it holds entries of other registers, and statistics that know these alone."""

from __future__ import annotations

import psycopg

from mintmark.store.connection.session import take_schema

ENTRIES = 200_000
# Only the projection has them: who reads one log never looks at another's bundles, but a plan may go through all rows.
# No log has an id below 1.
FILL = """
    insert into entry (log, index, leaf_hash, type, key, timestamp, item_hash, item, number, live)
    select -1 - n % {logs}, n / {logs}, sha256(n::text::bytea), 'user', 'C' || lpad(n::text, 8, '0'),
           '2024-05-17T12:00:00Z', sha256(('item ' || n)::bytea),
           jsonb_build_object('company', 'C' || lpad(n::text, 8, '0'), 'name', 'Company ' || n % 5000 || ' Ltd',
                              'address', jsonb_build_array(n % 200 || ' Street', 'Town ' || n % 90)),
           n / {logs} + 1, n / {logs} + 1
    from generate_series(0, {entries} - 1) as n"""


def fill(conninfo: str, entries: int = ENTRIES, logs: int = 4) -> None:
    """Puts entries of other registers into a read database, and analyses it."""
    given, schema = take_schema(conninfo)
    with psycopg.connect(given, autocommit=True) as conn:
        conn.execute(f"set search_path to {schema}".encode())
        conn.execute(FILL.format(entries=entries, logs=logs).encode())
        conn.execute("analyze")
