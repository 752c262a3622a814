"""The embedded Postgres of an `up`: the mint's database and a separate read database, kept running while it runs.

The mint and the mirrors own a database each. The read API has a role that may only read, given what it may by
`store.connection.roles.grant_reading` once there are tables.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from mintmark.aio import Backoff, supervise
from mintmark.cli.output import echo
from mintmark.cli.run.up_files import Databases
from mintmark.postgres.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OWNERS = {"mint": "mintmark_mint", "read": "mintmark_mirror"}
READER = "mintmark_api"
FIRST_RESTART_SECONDS, MAX_RESTART_SECONDS = 0.1, 5.0
STEADY_SECONDS = 10.0  # of life, after which the back-off begins anew


@asynccontextmanager
async def running_postgres(directory: Path) -> AsyncIterator[Databases]:
    """A Postgres with both databases, until the block ends. If it dies, it is started again, with a remark.

    Raises Misconfigured or MintmarkError where the first start fails.
    """
    server = EmbeddedServer(directory)
    await server.start()
    keeper = asyncio.create_task(supervise(partial(_keep, server), partial(_tell, server)))
    try:
        await server.own(OWNERS)
        await server.create_roles(READER)
        owned = {name: server.conninfo(name, role) for name, role in OWNERS.items()}
        yield Databases(**owned, api=server.conninfo("read", READER))
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await asyncio.shield(server.stop())


def _tell(server: EmbeddedServer, error: BaseException) -> None:
    echo(f"Postgres could not be looked after ({error}); its log is {server.log}")


async def _keep(server: EmbeddedServer) -> None:
    backoff = Backoff(FIRST_RESTART_SECONDS, MAX_RESTART_SECONDS)
    while True:
        began = monotonic()
        reason = await server.wait()
        if monotonic() - began > STEADY_SECONDS:
            backoff.reset()
        delay = backoff.next()
        echo(f"Postgres ended ({reason}) and starts again in {delay:.1f} s; its log is {server.log}")
        await _restart(server, delay)


async def _restart(server: EmbeddedServer, delay: float) -> None:
    while True:
        await asyncio.sleep(delay)
        try:
            await server.start()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told and tried again
            echo(f"Postgres does not start yet: {error}")
            delay = MAX_RESTART_SECONDS
        else:
            return
