"""A mint on a real Postgres, reached over gRPC by a real client: the fixtures `site` and `mint`."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.client.mint_client import MintClient
from mintmark.mint.server import running_mint
from mintmark.tlog import bundle
from mintmark.tlog.note import SecretKey, generate_skey, parse_vkey
from tests.support.oracle import check_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from mintmark.client.mint_client import AppendAnswer
    from mintmark.tlog.note import Verifier
    from tests.support.postgres import TestPostgres

THINGS, LIGHTHOUSE, SALTED = "mint.example/things", "mint.example/lighthouse", "mint.example/salted"
TOKEN, WEAK = "all rights", "append only"


@dataclass
class Site:
    """What a mint needs: a database, keys, tokens. It may run any number of times, also at once."""

    database: str
    keys: Path
    tokens: Path
    signers: dict[str, SecretKey] = field(default_factory=dict)

    def make_key(self, origin: str) -> SecretKey:
        signer = generate_skey(origin)
        (self.keys / f"{origin.rsplit('/', 1)[-1]}.key").write_text(signer.skey + "\n")
        self.signers[origin] = signer
        return signer

    def verifiers(self, origin: str) -> list[Verifier]:
        return [parse_vkey(self.signers[origin].vkey)]

    async def check(self, origin: str) -> int:
        """The oracle's word on a log; its size."""
        return await check_log(self.database, origin, self.verifiers(origin))

    @asynccontextmanager
    async def running(self, token: str = TOKEN, database: str = "", **settings: Any) -> AsyncIterator[MintClient]:
        """A client of a mint that runs for the time of the block; `settings` as of `running_mint`."""
        async with (
            running_mint(database or self.database, "127.0.0.1:0", self.keys, self.tokens, **settings) as mint,
            MintClient(mint.address, token=token) as client,
        ):
            yield client


@pytest.fixture
def site(mint_db: str, tmp_path: Path) -> Site:
    """A site with the keys of an opaque log and two registers, none of which is made yet."""
    keys, tokens = tmp_path / "keys", tmp_path / "tokens.toml"
    keys.mkdir()
    tokens.write_text(format_token("all", TOKEN, RIGHTS) + format_token("weak", WEAK, ["append"]))
    site = Site(mint_db, keys, tokens)
    for origin in (THINGS, LIGHTHOUSE, SALTED):
        site.make_key(origin)
    return site


@pytest.fixture
async def mint(site: Site) -> AsyncIterator[MintClient]:
    """A client of a running mint that has made all three logs."""
    async with site.running() as client:
        await create(client)
        yield client


async def create(client: MintClient) -> None:
    await client.create(THINGS, "opaque")
    await client.create(LIGHTHOUSE, "register")
    await client.create(SALTED, "register", salted=True)


async def put(client: MintClient, entries: Sequence[bytes], id: bytes = b"") -> AppendAnswer:
    """Appends to the opaque log."""
    return await client.append(THINGS, id or secrets.token_bytes(16), bundle.join(entries))


async def stored(client: MintClient, origin: str) -> tuple[list[bytes], list[bytes]]:
    """All entries and items, as the same server gives them out."""
    size = (await head(client, origin))[0]
    entries, items = [], []
    if size:
        async for chunk in client.entries(origin, 0, size, size):
            entries += [entry for part in chunk.entries for entry in bundle.cut(part)]
            items += [item for part in chunk.items for item in bundle.cut(part)]
    return entries, items


async def head(client: MintClient, origin: str) -> tuple[int, bytes]:
    """The size and the root, in base64, that a server shows."""
    text = (await client.checkpoint(origin)).split(b"\n")
    return int(text[1]), text[2]


def copied(postgres: TestPostgres, database: str) -> str:
    """A copy of a database that nobody is connected to."""
    name = str(conninfo_to_dict(database)["dbname"])
    postgres.execute(f"create database {name}_copy template {name}")
    return make_conninfo(database, dbname=f"{name}_copy")


TABLES = ("head", "tile", "bundle", "request", "definition", "clock")  # of what a commit writes


def save(database: str, name: str) -> None:
    """Keeps what a mint's database holds now, for `go_to`."""
    with psycopg.connect(database) as conn:
        for table in TABLES:
            conn.execute(f"create table {name}_{table} as table {table}".encode())


def go_to(database: str, name: str) -> None:
    """Brings the database to what was saved, as a replica does that was behind and is promoted."""
    with psycopg.connect(database) as conn:
        for table in TABLES:
            conn.execute(f"delete from {table}".encode())
            conn.execute(f"insert into {table} table {name}_{table}".encode())
