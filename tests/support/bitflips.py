"""The bit flip campaign: a random bit of a random column is flipped; fsck has to find it and mend it from a source.

A mint and its mirror hold a register (with updates, tombstones, erasures) and an opaque log of three levels of tiles.
The mirror is mended from the mint, the mint's database from the mirror. After each flip `fsck` has to name the table.
After the repair every row of every table has to be as before, byte for byte.

Columns that hold a fact alone cannot be checked, and are left out: times of day, the name of a source and its last
trouble, a worker's lease and heartbeat, the random id of a request, and the digest of a request to a register (its
client may have spelt the items differently). Checks and foreign keys are dropped: a disk does not obey them.

    python -m tests.support.bitflips [--flips N] [--seed S]      figures as JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psycopg
import structlog
from psycopg import sql

from mintmark.errors import Fork
from mintmark.fsck.check import check_log
from mintmark.fsck.findings import check_strays, keyed_logs
from mintmark.fsck.repair import repair, repair_strays
from mintmark.mirror.catch_up import CatchUp
from mintmark.postgres.server import EmbeddedServer
from mintmark.register import canonical
from mintmark.register.entry import format_entry
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.fsck.transactions import reading
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.note import parse_skey
from tests.support.flipped_bits import COLUMNS, flipped_value
from tests.support.lighthouse import DEFINITIONS, entry, system
from tests.support.minting import Keys
from tests.support.places import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mintmark.client.mint_client import MintClient
    from mintmark.fsck.findings import Damage
    from mintmark.store.connection.pool import Pool
    from mintmark.tlog.note import Verifier

    Row = tuple[Any, ...]

OPAQUE, REGISTER = "flips.example/things", "flips.example/lighthouse"
CONSTRAINTS = (
    "select conrelid::regclass::text, conname from pg_constraint where contype in ('c', 'f') and conrelid <> 0"
)


@dataclass
class Copies:
    """A mint's database and its mirror's, with the same two logs."""

    databases: Mapping[str, str]
    keys: Keys
    entries: int

    @property
    def trust(self) -> dict[str, list[Verifier]]:
        return {origin: self.keys.verifiers(origin) for origin in (OPAQUE, REGISTER)}

    async def fill(self) -> None:
        """Appends to both logs, and mirrors them several times on the way: each time leaves a checkpoint."""
        async with self.keys.minting(self.databases["mint"]) as mint, open_pool(self.databases["read"], 4) as pool:
            store = ReadStore(pool)
            await mint.create(OPAQUE, "opaque")
            await mint.create(REGISTER, "register")
            await _append(mint, [system(key, item) for key, item in DEFINITIONS])
            for start in range(0, self.entries, 30_000):
                numbers = range(start, min(self.entries, start + 30_000))
                await mint.append(OPAQUE, os.urandom(16), bundle.join(b"entry %d" % number for number in numbers))
                await _append(mint, _lights(start))
                await self._mirror(store, mint)
            await _erase(mint, 20, 300)
            await _append(mint, [(entry("L7", None), None)])
            for count in (1, 2, 5):
                await mint.append(OPAQUE, os.urandom(16), bundle.join(b"late %d" % number for number in range(count)))
            await self._mirror(store, mint)
            await self._contradict(store)

    async def _mirror(self, store: ReadStore, mint: MintClient) -> None:
        for origin, kind in ((OPAQUE, "opaque"), (REGISTER, "register")):
            follower = CatchUp(store, origin, self.keys.verifiers(origin))
            assert await follower.step(mint, await mint.checkpoint(origin), kind)

    async def _contradict(self, store: ReadStore) -> None:
        """Stores evidence of a contradiction, after which somebody resumed the log."""
        signer = parse_skey((self.keys.directory / "things.key").read_text().strip())
        notes = [sign_checkpoint(OPAQUE, 5, os.urandom(32), [signer]).note for _ in range(2)]
        log = await store.log(OPAQUE)
        await store.evidence.contradict(log.id, Fork("two trees of 5 entries", *notes), "elsewhere:1", stop=False)
        await store.evidence.resume(log.id)

    async def unconstrain(self) -> None:
        """Drops the constraints that would refuse a flip; a disk refuses none."""
        for database in self.databases.values():
            async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
                for table, name in await (await conn.execute(CONSTRAINTS)).fetchall():
                    drop = sql.SQL("alter table {} drop constraint {}").format(
                        sql.Identifier(table), sql.Identifier(name)
                    )
                    await conn.execute(drop)


async def _append(mint: MintClient, rows: list[tuple[Any, bytes | None]]) -> None:
    entries, items = bundle.join(format_entry(leaf) for leaf, _ in rows), bundle.join(item or b"" for _, item in rows)
    await mint.append(REGISTER, os.urandom(16), entries, items)


def _lights(start: int) -> list[tuple[Any, bytes | None]]:
    """Three hundred records, most of them updates of earlier ones."""
    names = [f"L{number % 200}" for number in range(300)]
    items = [canonical.format({"lighthouse": name, "name": f"{start} {at}"}) for at, name in enumerate(names)]
    return [(entry(name, item), item) for name, item in zip(names, items, strict=True)]


async def _erase(mint: MintClient, *indices: int) -> None:
    reason = b'{"authority":"a court","reason":"asked for"}'
    erasures = [pb.Item(key=f"erase:{index}", json=reason, system=True) for index in indices]
    await mint.append_items(REGISTER, os.urandom(16), erasures)


@dataclass
class Flips:
    """Flips in one database, each found and mended before the next."""

    kind: str
    pool: Pool
    source: MintClient
    trust: Mapping[str, list[Verifier]]
    chance: random.Random
    found: int = 0
    mended: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    async def flip_and_mend(self) -> None:
        """Flips one bit, checks, and mends it. A flip that the check did not find is noted in `missed`."""
        before = await self._rows()
        table, column, what = await self._flip()
        self.columns[f"{table}.{column}"] += 1
        damages = await self._check()
        self.found += any(damage.table == table for damage in damages)
        if not any(damage.table == table for damage in damages):
            self.missed.append(f"not found: {what}: {[str(damage) for damage in damages]}")
        left = await self._repair({damage.origin for damage in damages})
        after = await self._rows()
        if left or after != before:
            differs = [name for name in before if before[name] != after[name]]
            raise AssertionError(f"not mended: {what}, in {differs}: {[str(damage) for damage in left or damages]}")
        self.mended += 1

    async def _check(self) -> list[Damage]:
        async with reading(self.pool) as store:
            found = await check_strays(store)
            for keyed in await keyed_logs(store, self.trust):
                assert keyed.verifiers, keyed.log
                found += keyed.damages + (await check_log(store, keyed.log, keyed.verifiers)).damages
        return found

    async def _repair(self, origins: set[str]) -> list[Damage]:
        """Mends these logs; returns the damages that are left."""
        async with reading(self.pool) as store:
            logs = await keyed_logs(store, self.trust)
        left = [
            damage
            for keyed in logs
            if keyed.log.origin in origins
            for damage in (await repair(self.pool, keyed, self.source)).after.damages
        ]
        return left + await repair_strays(self.pool)

    async def _rows(self) -> dict[str, Row | None]:
        """For each table, the number of its rows and the sum of their hashes."""
        found = {}
        async with self.pool.connection() as conn:
            for table in COLUMNS[self.kind]:
                query = f"select count(*), sum(hashtextextended(t::text, 0)) from {table} t"
                found[table] = await (await conn.execute(query.encode())).fetchone()
        return found

    async def _flip(self) -> tuple[str, str, str]:
        """Flips one bit: any table is as likely as any other. Returns table, column, description."""
        async with self.pool.connection() as conn:
            while True:
                table = self.chance.choice(list(COLUMNS[self.kind]))
                column = self.chance.choice(COLUMNS[self.kind][table])
                if what := await self._flip_in(conn, table, column):
                    return table, column, what

    async def _flip_in(self, conn: psycopg.AsyncConnection[Any], table: str, column: str) -> str | None:
        """Flips a bit in a random row of either log; None where no such row can be stored."""
        mine = "id" if table == "log" else "log"
        where = f"{column} is not null"
        if (table, column) == ("request", "digest"):
            where += f" and log = (select id from log where origin = '{OPAQUE}')"
        logs = await (await conn.execute(f"select distinct {mine} from {table} where {where}".encode())).fetchall()
        (log,) = self.chance.choice(logs)
        query = f"select ctid, {column}, t::text from {table} t where {where} and {mine} = %s order by ctid"
        places = await (await conn.execute(f"select ctid from ({query}) as t".encode(), (log,))).fetchall()
        place = self.chance.choice(places)[0]
        type_, value, text = await self._value(conn, table, column, place)
        if (flipped := flipped_value(type_, value, self.chance)) is None:
            return None
        try:
            update = f"update {table} set {column} = %s::{type_} where ctid = %s"
            await conn.execute(update.encode(), (flipped, place))
        except psycopg.Error:  # the key is taken, or the number too large
            return None
        return f"{table}.{column} of {text[:100]}: {value!r:.80} -> {flipped!r:.80}"

    async def _value(
        self, conn: psycopg.AsyncConnection[Any], table: str, column: str, place: str
    ) -> tuple[str, Any, str]:
        shown = f"{column}::text" if column == "item" and self.kind == "read" else column
        query = f"select pg_typeof({column})::text, {shown}, t::text from {table} t where ctid = %s"
        row = await (await conn.execute(query.encode(), (place,))).fetchone()
        assert row is not None
        return row[0], row[1], row[2]


@asynccontextmanager
async def flips(copies: Copies, kind: str, chance: random.Random) -> AsyncIterator[Flips]:
    """Flips in one of the two databases, which is mended from the other."""
    async with open_pool(copies.databases[kind], 4) as pool, open_pool(copies.databases["read"], 4) as read:
        if kind == "read":
            async with copies.keys.minting(copies.databases["mint"]) as source:
                yield Flips(kind, pool, source, copies.trust, chance)
        else:
            async with served(ReadStore(read)) as source:
                yield Flips(kind, pool, source, copies.trust, chance)


async def campaign(directory: Path, count: int, seed: int) -> dict[str, object]:
    """One run, of `count` flips in each database."""
    server = EmbeddedServer(directory / "postgres")
    await server.start(COLUMNS)
    try:
        databases = {kind: server.conninfo(kind) for kind in COLUMNS}
        for kind, database in databases.items():
            await migrate(database, kind)  # type: ignore[arg-type]
        copies = Copies(databases, Keys(directory / "keys", OPAQUE, REGISTER), 70_000)
        await copies.fill()
        await copies.unconstrain()
        return {"seed": seed} | {kind: await _run(copies, kind, count, seed) for kind in COLUMNS}
    finally:
        await server.stop()


async def _run(copies: Copies, kind: str, count: int, seed: int) -> dict[str, object]:
    began = time.monotonic()
    async with flips(copies, kind, random.Random(f"{seed} {kind}")) as run:
        for number in range(1, count + 1):
            await run.flip_and_mend()
            if number % 100 == 0:
                click.echo(f"{kind}: {number} flips, {run.found} found, {run.mended} mended", err=True)
    figures = {"flips": count, "found": run.found, "mended": run.mended, "missed": run.missed}
    return figures | {"seconds": round(time.monotonic() - began), "columns": dict(sorted(run.columns.items()))}


@click.command()
@click.option("--flips", "count", type=click.IntRange(min=1), default=1000, show_default=True, help="In each database.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(count: int, seed: int) -> None:
    """Flip random bits of both databases, one at a time, and see that each is found and mended."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="mintmark-bitflips-", ignore_cleanup_errors=True) as directory:
        click.echo(json.dumps(asyncio.run(campaign(Path(directory), count, seed))))


if __name__ == "__main__":
    main()
