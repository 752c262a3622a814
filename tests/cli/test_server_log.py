"""The log of a server when something fails: enough to mend it, once, and no secrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import structlog
from psycopg.conninfo import conninfo_to_dict

from mintmark.cli.run.up_files import claim_address
from mintmark.telemetry import log_to_stderr
from tests.support.commands import serving
from tests.support.lighthouse import ROWS
from tests.support.read_api import mirror, world

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.support.postgres import TestPostgres

TILE = "/lighthouse/log/tile/0/000.p/1"


async def until_served(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await client.get(TILE)).status_code == 200:
                    return
            except httpx.ConnectError:
                await asyncio.sleep(0.1)


def close(postgres: TestPostgres, database: str) -> None:
    """Nobody gets in any more, and who is in is put out."""
    name = conninfo_to_dict(database)["dbname"]
    postgres.execute(f"alter database {name} with allow_connections false")
    postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")


async def test_a_database_that_goes_away_is_one_line_a_request(
    new_database: Callable[[str | None], str], postgres: TestPostgres
) -> None:
    database = new_database("read")
    await mirror(database, world("lighthouse", ROWS))
    address = claim_address("127.0.0.1:0", "listen")
    async with serving(database, address) as process:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client:
            await until_served(client)
            close(postgres, database)
            answers = await asyncio.gather(*[client.get(TILE) for _ in range(3)])
        assert [answer.status_code for answer in answers] == [503] * 3
        process.terminate()
        err = (await process.communicate())[1].decode()
    assert err.count("request failed") == 3, err
    assert err.count("error connecting in 'pool-") == 1, err
    assert "Traceback" not in err
    assert err.count("\n") < 12, err


def test_a_traceback_in_a_servers_log_has_no_values(capfd: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    try:
        password = "a " + "secret"
        raise LookupError(len(password))
    except LookupError:
        structlog.get_logger().exception("it failed")
    finally:
        structlog.reset_defaults()
    err = capfd.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "a secret" not in err
