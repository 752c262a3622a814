"""Appending in batches, beside COPY of the same batches of entries as plain rows, each durable before the next."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import psycopg

from benches.data import batches
from benches.report import Report, interleave
from benches.rig import BATCH, Rig
from mintmark.tlog import kernel

if TYPE_CHECKING:
    from benches.report import Options

    Batch = tuple[bytes, bytes]

ABOUT = "append through gRPC in batches of 1,000 by 4 clients, opaque and register, beside COPY of the batches"
ENTRIES, CLIENTS = 200_000, 4
TABLE = "create table if not exists plain (index bigint primary key, entry bytea not null, item bytea)"
COPY = "copy plain from stdin (format binary)"


async def run(options: Options) -> Report:
    size = options.entries or ENTRIES
    report = Report(f"{size:,} entries, {CLIENTS} clients, batches of {BATCH:,}")
    async with Rig() as rig:
        plain, numbers, cases = Plain(rig.source.conninfo("publisher")), count(), {}

        async def append(kind: str, made: list[Batch]) -> float:
            return await rig.append(await rig.create(f"log-{next(numbers)}", kind), iter(made), size, CLIENTS)

        for kind in ("opaque", "register"):
            made = list(batches(kind, size, BATCH))
            cases[f"append, {kind}"] = partial(append, kind, made)
            cases[f"COPY, {kind}"] = partial(plain.run, made, size)
        meters = rig.meters()
        report.add(await interleave(cases, options.rounds or 5), "entries/s")
        report.usage = [meter.read() for meter in meters]
    report.limit("append, opaque", 150_000)
    report.limit("append, register", 50_000)
    for kind in ("opaque", "register"):
        report.compare(f"append, {kind}", f"COPY, {kind}")
    return report


class Plain:
    """The same entries and items as rows of a plain table, by as many connections, a commit a batch."""

    def __init__(self, database: str) -> None:
        self._database = database

    async def run(self, made: list[Batch], size: int) -> float:
        rows, first = [], 0
        for entries, items in made:
            rows.append(_rows(first, kernel.cut(entries), kernel.cut(items)))
            first += len(kernel.cut(entries))
        async with AsyncExitStack() as stack:
            connect = psycopg.AsyncConnection.connect
            peers = [
                await stack.enter_async_context(await connect(self._database, autocommit=True)) for _ in range(CLIENTS)
            ]
            await peers[0].execute(TABLE)
            await peers[0].execute("truncate plain")
            began, left = time.perf_counter(), iter(rows)
            await asyncio.gather(*(_copy(peer, left) for peer in peers))
            return size / (time.perf_counter() - began)


async def _copy(conn, left) -> None:  # type: ignore[no-untyped-def]
    for rows in left:
        async with conn.cursor().copy(COPY) as copy:
            await copy.write(rows)


def _rows(first: int, entries: list[bytes], items: list[bytes]) -> bytes:
    parts = [b"PGCOPY\n\xff\r\n\0" + bytes(8)]
    for index, entry in enumerate(entries):
        item = items[index] if items else None
        last = b"\xff\xff\xff\xff" if item is None else len(item).to_bytes(4, "big") + item
        head = b"\0\3\0\0\0\x08" + (first + index).to_bytes(8, "big")
        parts.append(head + len(entry).to_bytes(4, "big") + entry + last)
    return b"".join([*parts, b"\xff\xff"])
