"""How soon an idle mint answers, beside a one-row commit of its Postgres and an empty call."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from typing import TYPE_CHECKING

import psycopg

from benches.data import opaque
from benches.load import quantile
from benches.report import Report, interleave
from benches.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benches.report import Options

ABOUT = "acknowledgement of one entry by an idle mint, beside a one-row commit"
CALLS, PAUSE = 200, 0.02
TABLE = "create table if not exists plain (id bigint generated always as identity primary key, entry bytea)"
INSERT = "insert into plain (entry) values (%b)"


async def run(options: Options) -> Report:
    report = Report(f"p50 of {CALLS} calls, one client, some {PAUSE * 1000:.0f} ms apart")
    async with Rig() as rig, rig.empty_call() as check:
        origin, entry = await rig.create("ack", "opaque"), opaque(0, 1)
        async with await psycopg.AsyncConnection.connect(rig.source.conninfo("publisher"), autocommit=True) as conn:
            await conn.execute(TABLE)
            cases = {
                "acknowledgement": lambda: p50(lambda: rig.client.append(origin, secrets.token_bytes(16), entry)),
                "one-row commit": lambda: p50(lambda: conn.execute(INSERT, (entry[2:],))),
                "empty call": lambda: p50(check),
            }
            report.add(await interleave(cases, options.rounds or 5), "ms")
    report.limit("acknowledgement", 4, most=True)
    report.compare("acknowledgement", "one-row commit", 3, most=True)
    return report


async def p50(call: Callable[[], Awaitable[object]]) -> float:
    """The median of calls that nothing else disturbs, in milliseconds."""
    taken, chance = [], random.Random(1)
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(chance.uniform(0.5, 1.5) * PAUSE)
    return quantile(taken, 0.5)
