"""What a mirror is compared with: the same rows, written by nobody who verifies them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import psycopg

from mintmark.postgres.server import ADMIN
from mintmark.store.connection.migrate import migrate

if TYPE_CHECKING:
    from benches.rig import Rig

TABLES = ("entry", "bundle", "tile")
SLICE = 2**20  # bytes that COPY is given at once
LOG = "insert into log (origin, name, kind) values ('bench.example/raw', 'raw', 'opaque')"
SYNCED = "select count(*) = 2 and bool_and(srsubstate in ('s', 'r')) from pg_subscription_rel"


async def rows_of(database: str) -> dict[str, bytes]:
    """Every row that a mirror wrote, as binary COPY."""
    rows = {}
    async with await psycopg.AsyncConnection.connect(database) as conn:
        for table in TABLES:
            async with conn.cursor().copy(f"copy {table} to stdout (format binary)") as copy:
                rows[table] = b"".join([bytes(part) async for part in copy])
    return rows


async def copy_rows(database: str, rows: dict[str, bytes]) -> float:
    """Writes rows into empty tables, one COPY a table, in one transaction; its seconds."""
    async with await psycopg.AsyncConnection.connect(database) as conn:
        await conn.execute("truncate log, entry restart identity cascade")
        await conn.execute(LOG)
        await conn.commit()
        began = time.perf_counter()
        for table, data in rows.items():
            async with conn.cursor().copy(f"copy {table} from stdin (format binary)") as copy:
                for at in range(0, len(data), SLICE):
                    await copy.write(data[at : at + SLICE])
        await conn.commit()
        return time.perf_counter() - began


class Raw:
    """COPY of the rows into a database of the read server, with the same tables and indexes."""

    def __init__(self, rig: Rig, rows: dict[str, bytes]) -> None:
        self.database, self.rows = rig.reader.conninfo("raw"), rows

    async def run(self) -> float:
        await migrate(self.database, "read")
        return await copy_rows(self.database, self.rows)


class Replication:
    """Logical replication's initial copy of entries and bundles, from the source server to the read server."""

    def __init__(self, rig: Rig, rows: dict[str, bytes]) -> None:
        self._rig, self._rows = rig, rows

    async def prepare(self) -> None:
        publisher = self._rig.source.conninfo("publisher")
        await migrate(publisher, "read")
        await copy_rows(publisher, self._rows)
        async with await self._rig.admin(self._rig.source, "publisher") as conn:
            await conn.execute("create publication bench for table entry, bundle")

    async def run(self) -> float:
        rig = self._rig
        await migrate(rig.reader.conninfo("raw"), "read")
        async with await rig.admin(rig.reader, "raw") as conn:
            await conn.execute("truncate log, entry restart identity cascade")
            await conn.execute(LOG)
            source = rig.source.conninfo("publisher", ADMIN)
            began = time.perf_counter()
            await conn.execute(f"create subscription bench connection '{source}' publication bench")
            while not (await (await conn.execute(SYNCED)).fetchone() or (False,))[0]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            seconds = time.perf_counter() - began
            await conn.execute("drop subscription bench")
        return seconds
