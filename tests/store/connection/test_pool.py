"""Connections: what is gone without a word is not waited for for hours, and what a database refuses has a name."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintmark.errors import Misconfigured, Unavailable
from mintmark.store.connection.pool import open_pool
from mintmark.store.connection.session import with_timeouts
from mintmark.store.log.model import Head
from mintmark.store.mint.mint_store import MintStore
from mintmark.tlog.kernel import EMPTY_ROOT
from tests.support.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_server_that_is_gone_without_a_word_is_given_up_soon(read_db: str) -> None:
    async with Wire(read_db).open() as wire, open_pool(wire.conninfo, 1) as pool, pool.connection() as conn:
        with socket.socket(fileno=conn.fileno()) as held:
            idle, unanswered, most = (
                held.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT, socket.TCP_KEEPCNT)
            )
            held.detach()
    assert (idle, unanswered, most) == (10, 25_000, 3)


def test_what_the_connection_string_says_stays() -> None:
    given = "postgresql://me@one,two/x?connect_timeout=3&target_session_attrs=read-write"
    made = conninfo_to_dict(with_timeouts(given))
    assert made == conninfo_to_dict(given) | made
    assert (made["connect_timeout"], made["host"]) == ("3", "one,two")
    assert with_timeouts(with_timeouts(given)) == with_timeouts(given)


@pytest.mark.parametrize("conninfo", ["garbage", "dbname=x nothing=y", "postgresql://[::1"])
def test_what_is_no_connection_string(conninfo: str) -> None:
    with pytest.raises(Misconfigured, match=r"connection string.*host=… dbname=…") as caught:
        with_timeouts(f"{conninfo} password=my secret")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_database_that_takes_no_writes_is_unavailable(mint_db: str) -> None:
    read_only = make_conninfo(mint_db, options="-c default_transaction_read_only=on")
    async with open_pool(read_only, 1) as pool:
        store = MintStore(pool)
        for write in (store.create("log.example/a", "opaque", False, Head(0, EMPTY_ROOT, b"")), store.prune()):
            with pytest.raises(Unavailable, match="takes no writes"):
                await write


async def test_why_it_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(psycopg.OperationalError) as error:
        await psycopg.AsyncConnection.connect(f"host={tmp_path} dbname=x")
    assert "\n" in str(error.value)
    async with open_pool(make_conninfo(host=str(tmp_path), dbname="x"), 1) as pool:
        pool.timeout = 0.5
        with pytest.raises(Unavailable) as caught:
            async with pool.connection():
                raise AssertionError("nobody is there")
    assert "\n" not in str(caught.value)
